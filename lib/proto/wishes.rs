//! What a copy is asked to be: the field `copy` of a request. keywire-protocol(7), COPY.

use serde::{Deserialize, Serialize};

/// What a copy is asked to be, in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which end is the sender.
    pub way: Way,
    /// Directories are copied with all that is in them.
    #[serde(default, skip_serializing_if = "is_not")]
    pub recursive: bool,
    /// Permissions and times are kept.
    #[serde(default, skip_serializing_if = "is_not")]
    pub preserve: bool,
    /// Symbolic links are copied, not followed.
    #[serde(default, skip_serializing_if = "is_not")]
    pub links: bool,
    /// The sender first asks what of each file is there.
    #[serde(default, skip_serializing_if = "is_not")]
    pub resume: bool,
    /// The hash of each file is compared before it gets its name.
    #[serde(default, skip_serializing_if = "is_not")]
    pub verify: bool,
    /// Nothing is written, and no contents are sent.
    #[serde(default, skip_serializing_if = "is_not")]
    pub dry_run: bool,
    /// Somebody watches: the sender says how much there is in all.
    #[serde(default, skip_serializing_if = "is_not")]
    pub totals: bool,
    /// What has reached the disk when the copy is over.
    #[serde(default)]
    pub sync: Sync,
}

/// Which end is the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The dialer sends.
    ToHost,
    /// The host sends.
    FromHost,
}

/// What has reached the disk when a copy is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// All of it: one sync at the end.
    #[default]
    End,
    /// Each file before it gets its name, and all of it at the end.
    Each,
    /// Whatever the system has written by then.
    None,
}

fn is_not(wish: &bool) -> bool {
    !wish
}

impl Request {
    /// A copy with nothing special about it.
    #[must_use]
    pub fn new(way: Way) -> Self {
        Request {
            way,
            recursive: false,
            preserve: false,
            links: false,
            resume: false,
            verify: false,
            dry_run: false,
            totals: false,
            sync: Sync::End,
        }
    }
}
