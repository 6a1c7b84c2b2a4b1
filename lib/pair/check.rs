//! What cannot be true of pairs, whoever wrote it into their file.

use super::agree::check_length;
use super::{Outcome, Pair, Pairs};
use crate::kdf::SECRET_LEN;
use crate::trust::MAX_ADDRESSES;
use std::collections::BTreeSet;

pub(super) fn check(pairs: &Pairs) -> Result<(), String> {
    let mut keys = BTreeSet::new();
    for pair in &pairs.pairs {
        if !keys.insert(pair.key) {
            return Err(format!("the key {} stands in it twice", pair.key));
        }
        check_pair(pair).map_err(|why| format!("what it says of {} cannot be: {why}", pair.key))?;
    }
    let mut settled = BTreeSet::new();
    match pairs.settled.iter().find(|invite| !settled.insert((invite.key, invite.id))) {
        Some(invite) => Err(format!("the invite {} is settled twice", invite.id)),
        None => Ok(()),
    }
}

fn check_pair(pair: &Pair) -> Result<(), &'static str> {
    let (ours, theirs) = (pair.ours.is_some(), pair.theirs.is_some());
    let (paired, declined) = (pair.outcome == Outcome::Accepted, pair.outcome == Outcome::Declined);
    let is_open = pair.open_sent || pair.open_received;
    let rules = [
        (pair.is_empty(), "there is nothing"),
        (ours && declined, "an invite waits for a key that was declined"),
        (ours && theirs, "an invite of each side waits"),
        (pair.outcome == Outcome::Blocked && (ours || theirs || is_open), "something waits though it is blocked"),
        (!paired && pair.ack.is_some(), "there is an \"ack\" without a pair"),
        (!paired && pair.confirm.is_some(), "there is a \"confirm\" without a pair"),
        (pair.ack.is_some() && pair.confirm.is_some(), "both an \"ack\" and a \"confirm\""),
        (!paired && !declined && pair.decline.is_some(), "there is a \"decline\" of nothing"),
        (declined && theirs && pair.decline.is_none(), "a declined invite waits"),
        ((paired || declined) && is_open, "it is both open and not"),
        (pair.addresses.len() > MAX_ADDRESSES, "it has more than 16 addresses"),
        (pair.addresses.iter().any(|at| at.port().is_none()), "an address has no port"),
        (has_wrong_length(pair), "the bytes of an invite, an answer or a proof have a wrong length"),
    ];
    rules.into_iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, why)| Err(why))
}

fn has_wrong_length(pair: &Pair) -> bool {
    let ours = pair.ours.as_ref().map(|ours| &ours.noise);
    let theirs = pair.theirs.as_ref().map(|theirs| &theirs.noise);
    let mut messages = ours.into_iter().chain(theirs).chain(pair.ack.as_ref().map(|ack| &ack.noise));
    let confirm = pair.confirm.as_ref();
    messages.any(|noise| check_length(noise).is_err())
        || confirm.is_some_and(|confirm| confirm.mac.0.len() != SECRET_LEN || confirm.consent.0.len() != 64)
}
