//! Who is meant: names, keys and addresses from the command line.

use crate::request::To;
use keywire::addr::{HostPort, PeerAddr};
use keywire::chat::of_chat;
use keywire::error::{Error, Result};
use keywire::key::PublicKey;
use keywire::pair::{Pair, Pairs, Standing};
use keywire::proto::chat::CHAT;
use keywire::store::Store;
use keywire::trust::{Peers, key_beginning, looks_like_key};
use std::time::SystemTime;

/// What is known here about others.
pub(crate) struct Known {
    pub(crate) peers: Peers,
    pub(crate) pairs: Pairs,
}

impl Known {
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let mut pairs = Pairs::load(store)?;
        pairs.expire(SystemTime::now());
        Ok(Known { peers: Peers::load(store)?, pairs })
    }

    /// The key that `text` stands for: a name, a key, or `KEY@HOST:PORT`.
    pub(crate) fn key(&self, text: &str) -> Result<PublicKey> {
        match text.contains('@') {
            true => text.parse().map(|at: PeerAddr| at.key),
            false => self.peers.resolve_key(text),
        }
    }

    /// The same, or the beginning of the key of somebody with whom there is, was or may be a pair.
    pub(crate) fn key_or_beginning(&self, text: &str) -> Result<PublicKey> {
        match key_beginning(text, self.pairs.list().iter().map(|pair| pair.key))? {
            Some(key) => Ok(key),
            // It may be a name, after all.
            None if text.to_ascii_lowercase().starts_with("kw1") && !text.contains('@') && !looks_like_key(text) => {
                self.key(text).map_err(|unknown| unknown.hint("'kw-chat pair list' shows the keys"))
            }
            None => self.key(text),
        }
    }

    /// A peer with its addresses: those that were written, else those that are known; `via` is the only one.
    pub(crate) fn to(&self, text: &str, via: Option<&str>) -> Result<To> {
        let to = self.to_key(self.key_or_beginning(text)?);
        if let Some(url) = via {
            let at = parse_via(url)?;
            if at.key != to.key {
                return Err(Error::usage(format!("the key in --via is not that of {}", text.escape_debug())));
            }
            return Ok(To { addresses: vec![at.at], only: true, ..to });
        }
        match text.parse() {
            Ok(PeerAddr { at, .. }) => Ok(To { addresses: vec![with_port(at)], ..to }),
            Err(_) => Ok(to),
        }
    }

    fn to_key(&self, key: PublicKey) -> To {
        let mut addresses: Vec<HostPort> = Vec::new();
        let named = self.peers.with_key(&key).map(|peer| peer.addresses.as_slice()).unwrap_or_default();
        let own = self.pairs.get(&key).map(Pair::addresses).unwrap_or_default();
        for at in named.iter().cloned().map(of_chat).chain(own.iter().cloned().map(with_port)) {
            if !addresses.contains(&at) {
                addresses.push(at);
            }
        }
        To { key, addresses, only: false }
    }

    /// Everybody with whom there is a pair, and who can be dialed.
    pub(crate) fn reachable(&self) -> Vec<To> {
        let talks = |pair: &&Pair| matches!(pair.standing(), Standing::Accepted { .. } | Standing::Open);
        let all = self.pairs.list().iter().filter(talks).map(|pair| self.to_key(pair.key));
        all.filter(|to| !to.addresses.is_empty()).collect()
    }
}

fn with_port(at: HostPort) -> HostPort {
    match (at.port(), CHAT.port) {
        (None, Some(port)) => at.with_port(port),
        _ => at,
    }
}

fn parse_via(url: &str) -> Result<PeerAddr> {
    let wrong = || Error::usage("not a way to dial: --via takes tcp://KEY@HOST:PORT");
    let at: PeerAddr = url.strip_prefix("tcp://").ok_or_else(wrong)?.parse()?;
    Ok(PeerAddr { at: with_port(at.at), ..at })
}

/// What a pair has come to, in the word that is shown.
pub(crate) fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Stranger => "none",
        Standing::Invited => "invited",
        Standing::Pending => "pending",
        Standing::Accepted { confirmed: true } => "accepted",
        Standing::Accepted { confirmed: false } => "unconfirmed",
        Standing::Declined => "declined",
        Standing::DeclinedByPeer => "declined-by-peer",
        Standing::Blocked => "blocked",
        Standing::Removed => "removed",
        Standing::RemovedByPeer => "removed-by-peer",
        Standing::Open => "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywire::key::KeyPair;
    use std::time::SystemTime;

    fn known(address: &str) -> (Known, PublicKey) {
        let key = KeyPair::generate().unwrap().public();
        let mut known = Known { peers: Peers::default(), pairs: Pairs::default() };
        known.peers.add("ops", key, &[address.parse().unwrap()], "", SystemTime::UNIX_EPOCH).unwrap();
        (known, key)
    }

    fn shown(to: &To) -> Vec<String> {
        to.addresses.iter().map(HostPort::to_string).collect()
    }

    #[test]
    fn an_address_of_the_book_without_a_port_or_with_that_of_a_shell_is_dialed_at_the_port_of_chat() {
        for (written, dialed) in [("host", "host:8801"), ("host:2022", "host:8801"), ("host:7", "host:7")] {
            let (known, key) = known(written);
            for text in ["ops", &key.to_string()] {
                assert_eq!(shown(&known.to(text, None).unwrap()), [dialed]);
            }
        }
    }

    #[test]
    fn an_address_on_the_command_line_is_dialed_as_it_is() {
        let (known, key) = known("host");
        for (written, dialed) in [("other:2022", "other:2022"), ("other", "other:8801")] {
            let to = known.to(&format!("{key}@{written}"), None).unwrap();
            assert_eq!((shown(&to), to.only), (vec![dialed.to_owned()], false));
            let to = known.to("ops", Some(&format!("tcp://{key}@{written}"))).unwrap();
            assert_eq!((shown(&to), to.only), (vec![dialed.to_owned()], true));
        }
    }

    #[test]
    fn a_way_that_is_none_or_leads_to_another_key_is_refused() {
        let (known, key) = known("host");
        let other = KeyPair::generate().unwrap().public();
        for url in
            [format!("{key}@host"), format!("udp://{key}@host"), format!("tcp://{other}@host"), "tcp://".to_owned()]
        {
            assert!(known.to("ops", Some(&url)).is_err(), "{url}");
        }
    }
}
