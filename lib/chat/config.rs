//! `config.json`: settings that a user may make; there need not be any. See keywire-files(5).

use crate::addr::HostPort;
use crate::error::Result;
use crate::proto::inbox::{Address, MAX_DELIVERY_ADDRESSES};
use crate::store::{Privacy, State, Store, Version};
use crate::trust::MAX_ADDRESSES;
use serde::{Deserialize, Serialize};

/// The name of the settings in the state directory.
pub const CONFIG: &str = "config.json";

/// Fewest days that what was said in groups is kept.
const LEAST_GROUP_DAYS: u32 = 8;

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    version: Version,
    /// Whether messages need a pair.
    pub pairing: Pairing,
    /// How many days messages are kept; for ever if it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Where others can dial us, for those we invite and accept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<HostPort>,
    /// What concerns groups alone.
    #[serde(skip_serializing_if = "GroupSettings::is_default")]
    pub group: GroupSettings,
    /// What concerns first contact alone.
    #[serde(skip_serializing_if = "InboxSettings::is_default")]
    pub inbox: InboxSettings,
}

/// Settings of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupSettings {
    /// How many days what was said in groups is kept; for ever if it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u32>,
}

impl GroupSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Settings of first contact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InboxSettings {
    /// Where messages for us can be left, for cards that are made without another address.
    pub addresses: Vec<Address>,
}

impl InboxSettings {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether messages need a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// Nobody's message is taken before our user has agreed to it.
    #[default]
    Required,
    /// Everybody's messages are taken, and those of keys that are not paired are protected by the connection alone.
    Open,
}

impl State for Config {
    const PRIVACY: Privacy = Privacy::Plain;

    fn check(&self) -> std::result::Result<(), String> {
        if self.retention_days == Some(0) {
            return Err("\"retention_days\" is 0, which would keep nothing: leave it out to keep everything".to_owned());
        }
        if let Some(days @ ..LEAST_GROUP_DAYS) = self.group.keep_days {
            return Err(format!(
                "\"keep_days\" is {days}; the least is {LEAST_GROUP_DAYS}, for others take no younger entry without its text"
            ));
        }
        if self.addresses.len() > MAX_ADDRESSES {
            return Err(format!("it has {} addresses; the most is {MAX_ADDRESSES}", self.addresses.len()));
        }
        if self.inbox.addresses.len() > MAX_DELIVERY_ADDRESSES {
            let count = self.inbox.addresses.len();
            return Err(format!("it has {count} addresses for cards; the most is {MAX_DELIVERY_ADDRESSES}"));
        }
        Ok(())
    }
}

impl Config {
    /// The settings of `store`; the defaults if there is no file.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub fn load(store: &Store) -> Result<Self> {
        Ok(store.read(CONFIG)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn checked(text: &str) -> std::result::Result<Config, String> {
        let config: Config = json::parse(text.as_bytes(), text.len())?;
        config.check().map(|()| config)
    }

    #[test]
    fn settings_that_are_not_made_are_the_safe_ones() {
        assert_eq!(checked(r#"{"version": 1}"#).unwrap(), Config::default());
        assert_eq!(Config::default().pairing, Pairing::Required);
        let open =
            checked(r#"{"version": 1, "pairing": "open", "retention_days": 1, "addresses": ["host:1"]}"#).unwrap();
        assert_eq!((open.pairing, open.retention_days, open.addresses.len()), (Pairing::Open, Some(1), 1));
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_refused_with_its_reason() {
        let addresses = |count: usize| json::line(&vec!["host:1"; count]).unwrap();
        assert!(checked(&format!(r#"{{"addresses": {}}}"#, addresses(16))).is_ok());
        assert!(checked(&format!(r#"{{"inbox": {{"addresses": {}}}}}"#, addresses(8))).is_ok());
        for (text, why) in [
            (format!(r#"{{"addresses": {}}}"#, addresses(17)), "the most is 16"),
            (r#"{"addresses": ["no host"]}"#.to_owned(), "not an address"),
            (r#"{"addresses": ["host:65536"]}"#.to_owned(), "not an address"),
            (r#"{"retention_days": 0}"#.to_owned(), "keep nothing"),
            (r#"{"group": {"keep_days": 7}}"#.to_owned(), "the least is 8"),
            (r#"{"group": {"keep": 1}}"#.to_owned(), "unknown field"),
            (format!(r#"{{"inbox": {{"addresses": {}}}}}"#, addresses(9)), "the most is 8"),
            (r#"{"inbox": {"addresses": ["kw1@host"]}}"#.to_owned(), "kw1"),
            (r#"{"retention_days": -1}"#.to_owned(), "invalid value"),
            (r#"{"retention_days": "30"}"#.to_owned(), "invalid type"),
            (r#"{"pairing": "Open"}"#.to_owned(), "unknown variant"),
            (r#"{"pairing": "none"}"#.to_owned(), "unknown variant"),
            (r#"{"parings": "open"}"#.to_owned(), "unknown field"),
            (r#"{"version": 2}"#.to_owned(), "version 2 is not known"),
        ] {
            let said = checked(&text).map(|_| String::new()).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
