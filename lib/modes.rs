//! Terminal modes as a dialer hands them on: which key erases, which interrupts, and what is done to lines. The names are
//! those of stty(1).

use nix::libc;
use nix::sys::termios::{
    InputFlags, LocalFlags, OutputFlags, SetArg, SpecialCharacterIndices as Key, Termios, tcgetattr, tcsetattr,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

/// Most modes that a host reads: more than there are.
pub const MAX_MODES: usize = 64;

/// The value of a key that is switched off.
const NO_KEY: u32 = 255;

/// Keys with a meaning.
const KEYS: [(&str, Key); 14] = [
    ("intr", Key::VINTR),
    ("quit", Key::VQUIT),
    ("erase", Key::VERASE),
    ("kill", Key::VKILL),
    ("eof", Key::VEOF),
    ("eol", Key::VEOL),
    ("eol2", Key::VEOL2),
    ("start", Key::VSTART),
    ("stop", Key::VSTOP),
    ("susp", Key::VSUSP),
    ("rprnt", Key::VREPRINT),
    ("werase", Key::VWERASE),
    ("lnext", Key::VLNEXT),
    ("discard", Key::VDISCARD),
];

/// What is done to input. Not `iutf8`: text is UTF-8 in every session, whatever the terminal here has been told.
const INPUT: [(&str, InputFlags); 8] = [
    ("istrip", InputFlags::ISTRIP),
    ("inlcr", InputFlags::INLCR),
    ("igncr", InputFlags::IGNCR),
    ("icrnl", InputFlags::ICRNL),
    ("ixon", InputFlags::IXON),
    ("ixany", InputFlags::IXANY),
    ("ixoff", InputFlags::IXOFF),
    ("imaxbel", InputFlags::IMAXBEL),
];

/// What is done to output.
const OUTPUT: [(&str, OutputFlags); 5] = [
    ("opost", OutputFlags::OPOST),
    ("onlcr", OutputFlags::ONLCR),
    ("ocrnl", OutputFlags::OCRNL),
    ("onocr", OutputFlags::ONOCR),
    ("onlret", OutputFlags::ONLRET),
];

/// What is done to what is typed.
const LOCAL: [(&str, LocalFlags); 11] = [
    ("isig", LocalFlags::ISIG),
    ("icanon", LocalFlags::ICANON),
    ("iexten", LocalFlags::IEXTEN),
    ("echo", LocalFlags::ECHO),
    ("echoe", LocalFlags::ECHOE),
    ("echok", LocalFlags::ECHOK),
    ("echonl", LocalFlags::ECHONL),
    ("echoctl", LocalFlags::ECHOCTL),
    ("echoke", LocalFlags::ECHOKE),
    ("noflsh", LocalFlags::NOFLSH),
    ("tostop", LocalFlags::TOSTOP),
];

/// The modes of the terminal on `fd`; none if it is no terminal.
#[must_use]
pub fn modes(fd: &impl AsFd) -> BTreeMap<String, u32> {
    tcgetattr(fd).map(|modes| named(&modes)).unwrap_or_default()
}

/// Gives the terminal on `fd` those of `modes` that are known here, and leaves its others as they are.
///
/// # Errors
/// It is no terminal.
pub fn set_modes(fd: &impl AsFd, modes: &BTreeMap<String, u32>) -> io::Result<()> {
    let mut changed = tcgetattr(fd)?;
    apply(&mut changed, modes);
    Ok(tcsetattr(fd, SetArg::TCSANOW, &changed)?)
}

fn named(modes: &Termios) -> BTreeMap<String, u32> {
    let key = |key: u8| if key == libc::_POSIX_VDISABLE { NO_KEY } else { u32::from(key) };
    let keys = KEYS.iter().filter_map(|(name, at)| Some((*name, key(*place(modes, *at)?))));
    let input = INPUT.iter().map(|(name, flag)| (*name, u32::from(modes.input_flags.contains(*flag))));
    let output = OUTPUT.iter().map(|(name, flag)| (*name, u32::from(modes.output_flags.contains(*flag))));
    let local = LOCAL.iter().map(|(name, flag)| (*name, u32::from(modes.local_flags.contains(*flag))));
    keys.chain(input).chain(output).chain(local).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn apply(modes: &mut Termios, wanted: &BTreeMap<String, u32>) {
    let on = |name: &str| wanted.get(name).map(|value| *value != 0);
    for (name, at) in KEYS {
        let key = wanted.get(name).and_then(|value| u8::try_from(*value).ok());
        let key = key.map(|key| if u32::from(key) == NO_KEY { libc::_POSIX_VDISABLE } else { key });
        if let (Some(key), Some(place)) = (key, place_mut(modes, at)) {
            *place = key;
        }
    }
    for (name, flag) in INPUT {
        modes.input_flags.set(flag, on(name).unwrap_or(modes.input_flags.contains(flag)));
    }
    for (name, flag) in OUTPUT {
        modes.output_flags.set(flag, on(name).unwrap_or(modes.output_flags.contains(flag)));
    }
    for (name, flag) in LOCAL {
        modes.local_flags.set(flag, on(name).unwrap_or(modes.local_flags.contains(flag)));
    }
}

#[allow(clippy::as_conversions, reason = "the index is the number that the system has for the key")]
fn place(modes: &Termios, key: Key) -> Option<&u8> {
    modes.control_chars.get(key as usize)
}

#[allow(clippy::as_conversions, reason = "the index is the number that the system has for the key")]
fn place_mut(modes: &mut Termios, key: Key) -> Option<&mut u8> {
    modes.control_chars.get_mut(key as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Termios {
        let pair = nix::pty::openpty(None, None).unwrap();
        tcgetattr(&pair.slave).unwrap()
    }

    #[test]
    fn what_one_terminal_says_makes_another_the_same() {
        let (mut mine, mut theirs) = (plain(), plain());
        *place_mut(&mut mine, Key::VERASE).unwrap() = 8;
        *place_mut(&mut mine, Key::VINTR).unwrap() = 24;
        *place_mut(&mut mine, Key::VSUSP).unwrap() = libc::_POSIX_VDISABLE;
        mine.input_flags.remove(InputFlags::IXON);
        mine.local_flags.insert(LocalFlags::TOSTOP);
        apply(&mut theirs, &named(&mine));
        assert_eq!(named(&theirs), named(&mine));
        assert_eq!(theirs, mine);
    }

    #[test]
    fn what_is_unknown_or_makes_no_sense_changes_nothing() {
        let (mut changed, before) = (plain(), plain());
        let odd = [("speed", 9600), ("erase", 256), ("intr", u32::MAX), ("", 1)];
        apply(&mut changed, &odd.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(changed, before);
    }

    #[test]
    fn there_are_fewer_modes_than_a_host_reads() {
        assert!(named(&plain()).len() < MAX_MODES);
    }
}
