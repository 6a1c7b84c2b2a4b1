//! What programs on the host have switched on in the terminal here, so that it can be switched off again for them if the
//! session ends before they do: the other screen, a hidden cursor, reports of the mouse.

use std::collections::BTreeSet;

/// Longest sequence that is of interest; a longer one is something else.
const MOST: usize = 64;

/// Private modes (DECSET) that make a shell unusable when they stay on.
const TROUBLESOME: [u16; 17] =
    [1, 5, 9, 47, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004];

/// Private modes that make one unusable when they stay off: line wrap and the cursor.
const MISSED: [u16; 2] = [7, 25];

/// Watches what is shown.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The sequence that has begun and has not ended.
    sequence: Option<Vec<u8>>,
    /// Private modes that are not as a shell expects them.
    changed: BTreeSet<u16>,
    /// Whether the keypad sends sequences of its own.
    keypad: bool,
    /// How often the kitty keyboard protocol was switched on.
    keyboard: u32,
}

impl Watch {
    /// Goes on with what is shown next.
    pub(crate) fn shown(&mut self, mut bytes: &[u8]) {
        loop {
            if self.sequence.is_none() {
                let Some(at) = bytes.iter().position(|byte| *byte == 0x1b) else { return };
                bytes = bytes.get(at + 1..).unwrap_or_default();
                self.sequence = Some(Vec::new());
            }
            let Some((byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            self.take(*byte);
        }
    }

    /// What puts the terminal back.
    pub(crate) fn undo(&self) -> Vec<u8> {
        let mut undo = String::new();
        for mode in &self.changed {
            undo += &format!("\x1b[?{mode}{}", if MISSED.contains(mode) { 'h' } else { 'l' });
        }
        if self.keypad {
            undo += "\x1b>";
        }
        if self.keyboard > 0 {
            undo += &format!("\x1b[<{}u", self.keyboard);
        }
        if !undo.is_empty() {
            // Colours and the shape of the cursor go with it.
            undo += "\x1b[0m\x1b[0 q\r\n";
        }
        undo.into_bytes()
    }

    /// One byte behind an escape character.
    fn take(&mut self, byte: u8) {
        let Some(sequence) = &mut self.sequence else { return };
        match (sequence.as_slice(), byte) {
            (_, 0x1b) => sequence.clear(),
            ([], b'[') => sequence.push(byte),
            ([], b'=' | b'>') => {
                self.keypad = byte == b'=';
                self.sequence = None;
            }
            // A reset of everything.
            ([], b'c') => *self = Watch::default(),
            ([b'[', ..], 0x20..=0x3f) if sequence.len() < MOST => sequence.push(byte),
            ([b'[', ..], _) => {
                let sequence = self.sequence.take().unwrap_or_default();
                self.control(sequence.get(1..).unwrap_or_default(), byte);
            }
            _ => self.sequence = None,
        }
    }

    /// A control sequence: its parameters and its last byte.
    fn control(&mut self, parameters: &[u8], end: u8) {
        match (parameters.split_first(), end) {
            (Some((b'?', modes)), b'h' | b'l') => {
                for mode in std::str::from_utf8(modes).unwrap_or_default().split(';') {
                    let Ok(mode) = mode.parse() else { continue };
                    let is_changed =
                        (TROUBLESOME.contains(&mode) && end == b'h') || (MISSED.contains(&mode) && end == b'l');
                    if is_changed {
                        self.changed.insert(mode);
                    } else {
                        self.changed.remove(&mode);
                    }
                }
            }
            (Some((b'>', _)), b'u') => self.keyboard = self.keyboard.saturating_add(1).min(99),
            (Some((b'<', count)), b'u') => {
                let count = std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()).unwrap_or(1);
                self.keyboard = self.keyboard.saturating_sub(count);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undo(pieces: &[&[u8]]) -> String {
        let mut watch = Watch::default();
        for piece in pieces {
            watch.shown(piece);
        }
        String::from_utf8(watch.undo()).unwrap()
    }

    #[test]
    fn what_an_editor_switches_on_is_switched_off() {
        let shown = undo(&[b"text\x1b[?1049h\x1b[?25l\x1b[?1002;1006h\x1b=\x1b[>1u"]);
        assert_eq!(shown, "\x1b[?25h\x1b[?1002l\x1b[?1006l\x1b[?1049l\x1b>\x1b[<1u\x1b[0m\x1b[0 q\r\n");
    }

    #[test]
    fn what_it_switched_off_itself_is_left_alone() {
        assert_eq!(undo(&[b"\x1b[?1049h\x1b[?25l\x1b=\x1b[>1u", b"\x1b[<u\x1b>\x1b[?25h\x1b[?1049l done"]), "");
        assert_eq!(undo(&[b"\x1b[?2004h\x1bc"]), "");
    }

    #[test]
    fn a_sequence_is_found_however_it_is_cut() {
        let whole = b"a\x1b[?2004hb";
        for at in 0..whole.len() {
            let (one, other) = whole.split_at(at);
            assert!(undo(&[one, other]).starts_with("\x1b[?2004l"), "cut at {at}");
        }
        assert!(undo(&[b"\x1b\x1b[?2004h"]).starts_with("\x1b[?2004l"));
    }

    #[test]
    fn other_sequences_and_plain_text_mean_nothing() {
        let long = [b"\x1b[".as_slice(), &[b'1'; 1000], b"h"].concat();
        for shown in
            [&b"\x1b[31mred\x1b[0m"[..], b"\x1b]0;title?1049h\x07", b"[?1049h", b"\x1b[?12h", b"\x1b[4h", &long]
        {
            assert_eq!(undo(&[shown]), "", "{}", shown.escape_ascii());
        }
    }
}
