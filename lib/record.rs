//! Records: what travels in a frame once the handshake is done. One type byte and a body, sealed.
//!
//! keywire-protocol(7), RECORDS. The two directions are independent: a [`Sealer`] and an [`Opener`], each with its own
//! key and counter, that share nothing.

use crate::error::{Error, Result};
use crate::frame::{LENGTH_LEN, MAX_FRAME_LEN};
use crate::seal::{CIPHER_KEY_LEN, CipherKey, Suite, TAG_LEN};

/// Largest body of a record: a frame less the type byte and the tag.
pub const MAX_BODY_LEN: usize = MAX_FRAME_LEN - TAG_LEN - 1;

/// Bytes that a record adds to its body on the wire: length, type and tag.
pub const OVERHEAD: usize = LENGTH_LEN + 1 + TAG_LEN;

/// Records under one key; then both ends move on to the next (Noise specification, section 11.3). With the largest
/// records that is 4 GiB, far below the limits of both ciphers.
pub const REKEY_EVERY: u64 = 65_536;

/// One direction's key and the number of the next record under it.
struct Line {
    key: CipherKey,
    next: u64,
}

impl Line {
    fn new(suite: Suite, key: &[u8; CIPHER_KEY_LEN]) -> Result<Self> {
        Ok(Line { key: CipherKey::new(suite, key)?, next: 0 })
    }

    /// The number for one more record, after the change of keys that may be due. 2^64 - 1 is kept for changing keys.
    fn number(&mut self) -> Result<u64> {
        let number = self.next;
        if number != 0 && number.is_multiple_of(REKEY_EVERY) {
            self.key = self.key.rekey()?;
        }
        self.next = number
            .checked_add(1)
            .filter(|next| *next < u64::MAX)
            .ok_or_else(|| Error::network("this connection has carried all the records it can"))?;
        Ok(number)
    }
}

/// Seals the records of one direction, in order.
pub struct Sealer(Line);

impl Sealer {
    /// The first record will be number 0 under `key`.
    ///
    /// # Errors
    /// None for keys of this length.
    pub fn new(suite: Suite, key: &[u8; CIPHER_KEY_LEN]) -> Result<Self> {
        Line::new(suite, key).map(Sealer)
    }

    /// Appends one record to `out`, ready for the wire. The body is the parts in a row, at most [`MAX_BODY_LEN`] bytes.
    ///
    /// # Errors
    /// A longer body; `out` is then as it was.
    pub fn seal(&mut self, kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) -> Result<()> {
        let body: usize = parts.iter().map(|part| part.len()).sum();
        let length = u16::try_from(body + 1 + TAG_LEN)
            .map_err(|_| Error::protocol(format!("a record of {body} bytes is too long")))?;
        let number = self.0.number()?;
        out.reserve(body + OVERHEAD);
        out.extend_from_slice(&length.to_be_bytes());
        let text = out.len();
        out.push(kind);
        for part in parts {
            out.extend_from_slice(part);
        }
        let tag = self.0.key.seal(number, &[], out.get_mut(text..).unwrap_or_default())?;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

impl Sealer {
    /// Appends one record to `out`, as [`Sealer::seal`] does, from `text`: the type byte with the body right behind it. The
    /// cipher reads it where it lies, which saves a copy of every byte.
    ///
    /// # Errors
    /// No type byte, or a body over [`MAX_BODY_LEN`]; `out` is then as it was.
    pub fn seal_text(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let length = u16::try_from(text.len() + TAG_LEN).ok().filter(|_| !text.is_empty());
        let length = length.ok_or_else(|| Error::protocol(format!("a record of {} bytes", text.len())))?;
        let number = self.0.number()?;
        out.extend_from_slice(&length.to_be_bytes());
        let at = out.len();
        out.resize(at + text.len(), 0);
        let tag = self.0.key.seal_apart(number, &[], text, out.get_mut(at..).unwrap_or_default())?;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

impl Sealer {
    /// Seals a record where it lies, as [`Sealer::seal`] would have written it: `frame` is room for the length, the type,
    /// the body, and room for the tag.
    ///
    /// # Errors
    /// Less room than a record without a body takes, or a body over [`MAX_BODY_LEN`].
    pub fn seal_in_place(&mut self, frame: &mut [u8]) -> Result<()> {
        let wrong = format!("a record of {} bytes", frame.len());
        let sealed = frame.len().checked_sub(LENGTH_LEN).filter(|length| *length > TAG_LEN);
        let length = sealed.and_then(|length| u16::try_from(length).ok()).ok_or_else(|| Error::protocol(&wrong))?;
        let (front, sealed) = frame.split_at_mut(LENGTH_LEN);
        let (text, tag) = sealed.split_at_mut(usize::from(length) - TAG_LEN);
        let number = self.0.number()?;
        front.copy_from_slice(&length.to_be_bytes());
        tag.copy_from_slice(&self.0.key.seal(number, &[], text)?);
        Ok(())
    }
}

/// Opens the records of one direction, in order.
pub struct Opener(Line);

impl Opener {
    /// The first record must be number 0 under `key`.
    ///
    /// # Errors
    /// None for keys of this length.
    pub fn new(suite: Suite, key: &[u8; CIPHER_KEY_LEN]) -> Result<Self> {
        Line::new(suite, key).map(Opener)
    }

    /// Opens the body of a frame in place and returns the record's type and body.
    ///
    /// # Errors
    /// Anything but the next record of this direction. The connection is then over: nothing after it can be trusted.
    pub fn open<'a>(&mut self, sealed: &'a mut [u8]) -> Result<(u8, &'a [u8])> {
        let number = self.0.number()?;
        match self.0.key.open(number, &[], sealed)? {
            [kind, body @ ..] => Ok((*kind, body)),
            [] => Err(Error::protocol("a record without a type")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        let key = [9; CIPHER_KEY_LEN];
        (Sealer::new(Suite::ChaChaPoly, &key).unwrap(), Opener::new(Suite::ChaChaPoly, &key).unwrap())
    }

    fn wire(sealer: &mut Sealer, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal(kind, &[body], &mut out).unwrap();
        out
    }

    #[test]
    fn records_of_every_size_are_opened_in_order_and_over_two_changes_of_keys() {
        for suite in [Suite::AesGcm, Suite::ChaChaPoly] {
            let key = [9; CIPHER_KEY_LEN];
            let (mut sealer, mut opener) = (Sealer::new(suite, &key).unwrap(), Opener::new(suite, &key).unwrap());
            for body in [vec![], vec![1], vec![2; MAX_BODY_LEN]] {
                let mut sealed = wire(&mut sealer, 5, &body);
                assert_eq!(sealed.len(), body.len() + OVERHEAD);
                assert_eq!(opener.open(&mut sealed[2..]).unwrap(), (5, body.as_slice()));
            }
            for _ in 0..2 * REKEY_EVERY {
                let mut sealed = wire(&mut sealer, 6, b"x");
                assert_eq!(opener.open(&mut sealed[2..]).unwrap(), (6, &b"x"[..]));
            }
        }
    }

    #[test]
    fn a_record_sealed_from_one_piece_is_the_same_as_from_its_parts() {
        let (mut one, mut other) = (pair().0, pair().0);
        for body in [&b""[..], b"x", &[7; MAX_BODY_LEN]] {
            let mut sealed = Vec::new();
            one.seal_text(&[&[3], body].concat(), &mut sealed).unwrap();
            assert_eq!(sealed, wire(&mut other, 3, body));
        }
        assert!(one.seal_text(&[], &mut Vec::new()).is_err());
        assert!(one.seal_text(&[0; MAX_BODY_LEN + 2], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_record_sealed_where_it_lies_is_the_same_as_from_its_parts() {
        let (mut one, mut other) = (pair().0, pair().0);
        for body in [&b""[..], b"x", &[7; MAX_BODY_LEN]] {
            let mut frame = [&[0; LENGTH_LEN], &[3][..], body, &[0; TAG_LEN]].concat();
            one.seal_in_place(&mut frame).unwrap();
            assert_eq!(frame, wire(&mut other, 3, body));
        }
        for length in [0, LENGTH_LEN, LENGTH_LEN + TAG_LEN, MAX_BODY_LEN + OVERHEAD + 1] {
            assert!(one.seal_in_place(&mut vec![0; length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_key_does_change_after_its_number_of_records() {
        let (mut sealer, _) = pair();
        let (mut stale, key) = pair();
        sealer.0.next = REKEY_EVERY;
        stale.0.next = REKEY_EVERY;
        let mut sealed = wire(&mut sealer, 1, b"new");
        let old = key.0.key;
        assert!(old.open(REKEY_EVERY, &[], &mut sealed[2..]).is_err());
    }

    #[test]
    fn a_repeated_skipped_or_swapped_record_does_not_open() {
        let (mut sealer, mut opener) = pair();
        let first = wire(&mut sealer, 1, b"first");
        let second = wire(&mut sealer, 1, b"second");
        assert!(pair().1.open(&mut second.clone()[2..]).is_err());
        opener.open(&mut first.clone()[2..]).unwrap();
        assert!(opener.open(&mut first.clone()[2..]).is_err());
    }

    #[test]
    fn the_last_number_is_never_used() {
        let (mut sealer, _) = pair();
        sealer.0.next = u64::MAX - 1;
        assert!(sealer.seal(1, &[], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_body_that_does_not_fit_is_refused_and_leaves_no_trace() {
        let (mut sealer, _) = pair();
        let mut out = vec![7];
        assert!(sealer.seal(1, &[&[0; MAX_BODY_LEN], &[0]], &mut out).is_err());
        assert_eq!(out, [7]);
    }
}
