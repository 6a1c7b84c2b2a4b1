//! The protocol buffers as they stand on the wire: `inbox.proto`, field by field. What they mean is checked elsewhere.

use crate::error::{Error, Result};
use prost::Message;

/// `AddressV1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AddressV1 {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(string, tag = "2")]
    pub(super) at: String,
}

/// `CardV1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CardV1 {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) recipient: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(super) expires: u64,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) one_time_keys: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "4")]
    pub(super) addresses: Vec<AddressV1>,
    #[prost(bytes = "vec", tag = "15")]
    pub(super) signature: Vec<u8>,
}

/// `TicketV1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TicketV1 {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) recipient: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(super) expires: u64,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) key_hashes: Vec<Vec<u8>>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) addresses_hash: Vec<u8>,
    #[prost(bytes = "vec", tag = "15")]
    pub(super) signature: Vec<u8>,
}

/// `InboxHandshakeV1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InboxHandshakeV1 {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) ephemeral: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) key_ref: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) r#static: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) payload: Vec<u8>,
}

/// `InvitePrivateV1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InvitePrivateV1 {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    pub(super) expires: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) noise: Vec<u8>,
    #[prost(string, tag = "4")]
    pub(super) text: String,
}

/// `AckPrivateV1`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AckPrivateV1 {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) noise: Vec<u8>,
}

/// `InboxV1Frame`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InboxV1Frame {
    #[prost(int64, tag = "1")]
    pub(super) timestamp: i64,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) padding: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) card: Vec<u8>,
    #[prost(oneof = "FrameType", tags = "10, 11, 12")]
    pub(super) frame_type: Option<FrameType>,
}

/// `frame_type` of `InboxV1Frame`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum FrameType {
    #[prost(message, tag = "10")]
    InvitePrivateV1(InvitePrivateV1),
    #[prost(string, tag = "11")]
    TextV1(String),
    #[prost(message, tag = "12")]
    AckPrivateV1(AckPrivateV1),
}

/// Reads `what` from `bytes`, which must be just what writing it gives: no field that is not known, none twice, none out of
/// order. So nobody can change a byte, and it still be the same.
///
/// # Errors
/// More than `most` bytes, and anything else.
pub(super) fn decode<M: Message + Default>(bytes: &[u8], most: usize, what: &str) -> Result<M> {
    if bytes.len() > most {
        return Err(Error::no(format!("{what} of {} bytes; the most is {most}", bytes.len())));
    }
    let message = M::decode(bytes).map_err(|_| Error::no(format!("{what} that is damaged or cut short")))?;
    match message.encode_to_vec() == bytes {
        true => Ok(message),
        false => Err(Error::no(format!("{what} with something in it that does not belong there"))),
    }
}

/// The bytes of `field`, of which there must be `N`.
///
/// # Errors
/// There are more, or fewer.
pub(super) fn array<const N: usize>(field: &[u8], what: &str) -> Result<[u8; N]> {
    field.try_into().map_err(|_| Error::no(format!("{what} has {} bytes instead of {N}", field.len())))
}
