//! `config.json`: settings that a user may make; there need not be any. See keywire-files(5).

use crate::addr::HostPort;
use crate::error::Result;
use crate::store::{Privacy, State, Store, Version};
use serde::{Deserialize, Serialize};

/// The name of the settings in the state directory.
pub const CONFIG: &str = "config.json";

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
