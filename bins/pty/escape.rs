//! Escapes: `~.` and its like, typed at the beginning of a line.

/// What a typed character comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// For the host.
    Send(Vec<u8>),
    /// `~.`: leave.
    Leave,
    /// `~^Z`: stop, and come back later.
    Suspend,
    /// `~?`: what escapes there are.
    Help,
}

/// Where in a line the user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    Escaped,
    Line,
}

/// Finds escapes in what is typed.
#[derive(Debug)]
pub(crate) struct Escapes {
    character: Option<u8>,
    place: Place,
}

impl Escapes {
    /// Escapes that start with `character`; `None` looks for none.
    pub(crate) fn new(character: Option<u8>) -> Self {
        Escapes { character, place: Place::LineStart }
    }

    /// Goes on with what was typed next.
    pub(crate) fn typed(&mut self, bytes: Vec<u8>) -> Vec<Typed> {
        let Some(escape) = self.character else { return vec![Typed::Send(bytes)] };
        let mut found = Vec::new();
        let mut plain = Vec::with_capacity(bytes.len());
        for byte in bytes {
            let special = match (self.place, byte) {
                (Place::LineStart, byte) if byte == escape => {
                    self.place = Place::Escaped;
                    continue;
                }
                (Place::Escaped, b'.') => Some(Typed::Leave),
                (Place::Escaped, 0x1a) => Some(Typed::Suspend),
                (Place::Escaped, b'?') => Some(Typed::Help),
                (Place::Escaped, byte) => {
                    if byte != escape {
                        plain.push(escape);
                    }
                    None
                }
                _ => None,
            };
            match special {
                Some(special) => {
                    if !plain.is_empty() {
                        found.push(Typed::Send(std::mem::take(&mut plain)));
                    }
                    found.push(special);
                    self.place = Place::LineStart;
                }
                None => {
                    plain.push(byte);
                    self.place = if matches!(byte, b'\r' | b'\n') { Place::LineStart } else { Place::Line };
                }
            }
        }
        if !plain.is_empty() {
            found.push(Typed::Send(plain));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(escapes: &mut Escapes, text: &str) -> Vec<Typed> {
        escapes.typed(text.as_bytes().to_vec())
    }

    #[test]
    fn an_escape_counts_only_at_the_beginning_of_a_line() {
        let mut escapes = Escapes::new(Some(b'~'));
        assert_eq!(sent(&mut escapes, "a~."), [Typed::Send(b"a~.".to_vec())]);
        assert_eq!(sent(&mut escapes, "\r~"), [Typed::Send(b"\r".to_vec())]);
        assert_eq!(sent(&mut escapes, "."), [Typed::Leave]);
    }

    #[test]
    fn a_doubled_escape_is_sent_once_and_an_unknown_one_as_it_was_typed() {
        let mut escapes = Escapes::new(Some(b'~'));
        assert_eq!(sent(&mut escapes, "~~x\n~k"), [Typed::Send(b"~x\n~k".to_vec())]);
    }

    #[test]
    fn help_and_suspend_leave_the_line_as_it_was() {
        let mut escapes = Escapes::new(Some(b'~'));
        assert_eq!(sent(&mut escapes, "~?~\x1a~."), [Typed::Help, Typed::Suspend, Typed::Leave]);
    }

    #[test]
    fn without_an_escape_character_everything_is_sent() {
        assert_eq!(sent(&mut Escapes::new(None), "~."), [Typed::Send(b"~.".to_vec())]);
    }
}
