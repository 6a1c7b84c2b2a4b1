//! What was said of what goes wrong, where it goes wrong again and again.

use keywire::key::PublicKey;
use keywire::proto::inbox::Rki;
use std::collections::{BTreeMap, BTreeSet};

/// Most different things that others can bring about and are said: beyond that somebody makes them up.
const MOST_OF_OTHERS: usize = 1000;

/// What goes wrong, or well, here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// What is on the disk.
    Inbox,
    /// Which drop boxes there are.
    DropBoxes,
    /// One of them, as it is written.
    DropBox(String),
    /// Which answers are owed.
    Answers,
    /// Our answer to this key.
    Answer(PublicKey),
    /// The secret of a one-time key.
    Secret(Rki),
    /// What this key says to kw-chat.
    Word(PublicKey),
}

/// What was said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Of each thing that is not well, the last.
    troubles: BTreeMap<About, String>,
    /// Of what others have brought about.
    of_others: BTreeSet<String>,
}

/// Whether something is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// It is.
    Now,
    /// It is, and it is the last of its kind.
    Last,
    /// It is not.
    No,
}

impl Said {
    /// Whether `text` is to be said of something that goes wrong here: not if it was the last that was said of it.
    pub(crate) fn trouble(&mut self, about: About, text: String) -> Say {
        match self.troubles.get(&about) == Some(&text) {
            true => Say::No,
            false => {
                self.troubles.insert(about, text);
                Say::Now
            }
        }
    }

    /// It is well: what goes wrong from now on is to be said.
    pub(crate) fn well(&mut self, about: &About) {
        self.troubles.remove(about);
    }

    /// Whether `text` is to be said of something that others have brought about: once, and of so many things at most.
    pub(crate) fn of_others(&mut self, text: String) -> Say {
        if self.of_others.len() >= MOST_OF_OTHERS || !self.of_others.insert(text) {
            return Say::No;
        }
        match self.of_others.len() == MOST_OF_OTHERS {
            true => Say::Last,
            false => Say::Now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> String {
        "the disk is full".to_owned()
    }

    #[test]
    fn what_others_make_up_is_said_so_often_at_most_and_keeps_nothing_of_ours_from_being_said() {
        let mut said = Said::default();
        let all: Vec<Say> =
            (0..MOST_OF_OTHERS + 9).map(|number| said.of_others(format!("nonsense {number}"))).collect();
        assert_eq!(all[..MOST_OF_OTHERS - 1], [Say::Now; MOST_OF_OTHERS - 1]);
        assert_eq!((all[MOST_OF_OTHERS - 1], &all[MOST_OF_OTHERS..]), (Say::Last, &[Say::No; 9][..]));
        assert_eq!(said.trouble(About::Inbox, full()), Say::Now);
    }

    #[test]
    fn the_same_is_said_once_until_it_was_well_or_something_else_went_wrong() {
        let mut said = Said::default();
        assert_eq!([said.of_others(full()), said.of_others(full())], [Say::Now, Say::No]);
        let (one, other) = (About::DropBox("one".to_owned()), About::DropBox("other".to_owned()));
        assert_eq!(said.trouble(one.clone(), full()), Say::Now);
        assert_eq!(said.trouble(other.clone(), full()), Say::Now);
        assert_eq!(said.trouble(one.clone(), full()), Say::No);
        said.well(&one);
        assert_eq!([said.trouble(one.clone(), full()), said.trouble(other, full())], [Say::Now, Say::No]);
        assert_eq!(said.trouble(one.clone(), "connection refused".to_owned()), Say::Now);
        assert_eq!(said.trouble(one, full()), Say::Now);
    }
}
