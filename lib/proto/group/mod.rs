//! The service `group`: logs of signed entries, and how two members come to have the same. keywire-protocol(7), GROUP.

pub mod entry;
pub mod genesis;
pub mod ids;
pub mod link;
pub mod message;
pub mod roster;

pub use entry::{Class, Dep, Entry, Header, Kind, LogId};
pub use genesis::{Genesis, History, Mode};
pub use ids::{EntryId, GroupId, Inc, KeyId};
pub use link::Link;
pub use message::{Assembly, Message};

use crate::addr::HostPort;
use crate::conn::Service;
use crate::error::{Error, Result};
use crate::json;
use serde::{Deserialize, Serialize};

/// Group conversations.
pub const GROUP: Service = Service { name: "group", port: Some(8802) };

/// Most bytes of text in a message.
pub const MAX_TEXT_LEN: usize = 64 << 10;

/// Most members of a group, its owner among them.
pub const MAX_MEMBERS: usize = 500;

/// Longest name of a group, in characters.
pub const MAX_NAME_LEN: usize = 64;

/// Most addresses of a member.
pub const MAX_ADDRESSES: usize = 16;

/// Most bytes of a [`Request`] and of [`Addresses`] in JSON.
const MAX_JSON_LEN: usize = 16 << 10;

/// What a dialer asks for: one group a connection. It is the payload of the third handshake message, so nobody on the way sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which group.
    pub group: GroupId,
}

impl Request {
    /// Its JSON.
    ///
    /// # Errors
    /// None.
    pub fn encode(&self) -> Result<Vec<u8>> {
        json::line(self).map(String::into_bytes)
    }

    /// Reads it.
    ///
    /// # Errors
    /// JSON that is none; an unknown field; a value that cannot be.
    pub fn decode(body: &[u8]) -> Result<Self> {
        json::parse(body, MAX_JSON_LEN).map_err(|why| Error::protocol(format!("a request that is none: {why}")))
    }
}

/// Where a member can be dialed: the body of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addresses {
    /// `HOST:PORT`, best first; at most [`MAX_ADDRESSES`]. None: nowhere.
    pub addresses: Vec<String>,
}

impl Addresses {
    /// Its JSON: what is sealed, or stands in clear, as the entry's body.
    ///
    /// # Errors
    /// None.
    pub fn encode(&self) -> Result<Vec<u8>> {
        json::line(self).map(String::into_bytes)
    }

    /// Reads it.
    ///
    /// # Errors
    /// JSON that is none; an unknown field; too many addresses, or one that is none.
    pub fn decode(text: &[u8]) -> Result<Self> {
        let wrong = |why: &str| Error::protocol(format!("addresses that are none: {why}"));
        let said: Addresses = json::parse(text, MAX_JSON_LEN).map_err(|why| wrong(&why))?;
        if said.addresses.len() > MAX_ADDRESSES {
            return Err(wrong(&format!("{} of them, more than {MAX_ADDRESSES}", said.addresses.len())));
        }
        for address in &said.addresses {
            address.parse::<HostPort>().map_err(|why| wrong(&why.to_string()))?;
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_group_and_nothing_else() {
        let request = Request { group: GroupId([0xab; 32]) };
        let json = request.encode().unwrap();
        assert_eq!(json, format!("{{\"group\":\"{}\"}}", "ab".repeat(32)).into_bytes());
        assert_eq!(Request::decode(&json).unwrap(), request);
        let hex = "ab".repeat(32);
        for wrong in [
            "{}".to_owned(),
            format!("{{\"group\":\"{}\"}}", "AB".repeat(32)),
            format!("{{\"group\":\"{}\"}}", "ab".repeat(31)),
            format!("{{\"group\":\"{hex}\",\"more\":1}}"),
            format!("{{\"group\":\"{hex}\",\"group\":\"{hex}\"}}"),
        ] {
            assert!(Request::decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_addresses_and_not_too_many() {
        for addresses in [vec![], vec!["[::1]:8802".to_owned(), "host:1".to_owned()], vec!["h".to_owned(); 16]] {
            let said = Addresses { addresses };
            assert_eq!(Addresses::decode(&said.encode().unwrap()).unwrap(), said);
        }
        for wrong in [vec!["h".to_owned(); 17], vec![String::new()], vec!["h:1".to_owned(), "a b".to_owned()]] {
            assert!(Addresses::decode(&Addresses { addresses: wrong }.encode().unwrap()).is_err());
        }
        assert!(Addresses::decode(b"{\"addresses\":[],\"more\":1}").is_err());
        assert!(Addresses::decode(b"{}").is_err());
    }

    #[test]
    fn an_id_has_one_name() {
        let id = GroupId(std::array::from_fn(|at| at as u8));
        let text = id.to_string();
        assert!(text.starts_with("000102") && text.len() == 64);
        assert_eq!(text.parse::<GroupId>().unwrap(), id);
        assert_eq!(format!("{id:?}"), "000102030405");
        for wrong in [text.to_uppercase(), text[1..].to_owned(), format!("{text}00"), format!(" {text}"), String::new()]
        {
            assert!(wrong.parse::<GroupId>().is_err(), "{wrong}");
        }
        assert!(!id.is_zero() && GroupId::default().is_zero());
        assert_ne!(Inc::random().unwrap(), Inc::random().unwrap());
    }
}
