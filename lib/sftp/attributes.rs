//! The attributes of a file as they stand in a packet (draft, section 5).

use crate::error::Result;
use crate::frame::Fields;
use crate::root::Status;

const SIZE: u32 = 0x01;
const OWNER: u32 = 0x02;
const PERMISSIONS: u32 = 0x04;
const TIMES: u32 = 0x08;
const EXTENDED: u32 = 0x8000_0000;

/// What a request wants set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bytes.
    pub size: Option<u64>,
    /// The numbers of owner and group.
    pub owner: Option<(u32, u32)>,
    /// Permissions; a type in it counts for nothing.
    pub permissions: Option<u32>,
    /// When it was read and written last, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

impl Attributes {
    /// Reads them; what is extended is skipped, as nobody has extended anything.
    pub(super) fn decode(fields: &mut Fields<'_>) -> Result<Self> {
        let flags = fields.u32()?;
        let mut read = Attributes::default();
        if flags & SIZE != 0 {
            read.size = Some(fields.u64()?);
        }
        if flags & OWNER != 0 {
            read.owner = Some((fields.u32()?, fields.u32()?));
        }
        if flags & PERMISSIONS != 0 {
            read.permissions = Some(fields.u32()?);
        }
        if flags & TIMES != 0 {
            read.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & EXTENDED != 0 {
            // Each takes eight bytes at least, so that the count cannot make this longer than the packet.
            for _ in 0..fields.u32()? {
                super::packet::string(fields)?;
                super::packet::string(fields)?;
            }
        }
        Ok(read)
    }
}

/// The attributes of what `status` is of; without one, none are known.
pub(super) fn encode(status: Option<&Status>) -> Vec<u8> {
    let Some(status) = status else { return 0_u32.to_be_bytes().to_vec() };
    // The protocol's seconds end in 2106; what is older or younger is shown at the edge.
    let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX).to_be_bytes();
    [
        &(SIZE | OWNER | PERMISSIONS | TIMES).to_be_bytes()[..],
        &status.size.to_be_bytes(),
        &status.owner.to_be_bytes(),
        &status.group.to_be_bytes(),
        &status.mode.to_be_bytes(),
        &seconds(status.accessed),
        &seconds(status.modified),
    ]
    .concat()
}
