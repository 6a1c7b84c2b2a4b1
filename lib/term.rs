//! The terminal: raw mode that is always undone, its size, and text from peers made safe to show.

use crate::sys::{self, TerminalGuard};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Rows and columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
}

impl WindowSize {
    /// Keeps both within 1 to 1000: programs divide by them, and allocate by them.
    #[must_use]
    pub fn clamped(self) -> Self {
        WindowSize { rows: self.rows.clamp(1, 1000), cols: self.cols.clamp(1, 1000) }
    }

    /// The size of the terminal on `fd`; `None` if it is no terminal, or does not know.
    #[must_use]
    pub fn of(fd: &impl AsFd) -> Option<Self> {
        let (rows, cols) = sys::window_size(fd).ok()?;
        (rows > 0 && cols > 0).then_some(WindowSize { rows, cols })
    }
}

/// A terminal in raw mode; it is put back however this is dropped, by an error or a panic too, and by a process of its
/// own if this one is killed.
pub struct RawMode {
    terminal: OwnedFd,
    cooked: Termios,
    guard: Option<TerminalGuard>,
}

impl RawMode {
    /// Prepares to change the terminal on `fd`, which stays as it is. Call it before any thread starts.
    ///
    /// # Errors
    /// No terminal.
    pub fn prepare(fd: &impl AsFd) -> io::Result<Self> {
        let terminal = fd.as_fd().try_clone_to_owned()?;
        let cooked = tcgetattr(&terminal)?;
        let guard = Some(sys::guard_terminal(&terminal)?);
        Ok(RawMode { terminal, cooked, guard })
    }

    /// Every key is handed on as it is typed, and nothing is echoed.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn enter(&self) -> io::Result<()> {
        let mut raw = self.cooked.clone();
        cfmakeraw(&mut raw);
        Ok(tcsetattr(&self.terminal, SetArg::TCSADRAIN, &raw)?)
    }

    /// As it was before.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn leave(&self) -> io::Result<()> {
        Ok(tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.cooked)?)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = self.leave();
        if let Some(guard) = self.guard.take() {
            guard.dismiss();
        }
    }
}

/// Makes text from a peer safe to show on a terminal: whatever could move the cursor, change colours, hide or reorder what
/// is read, or set the terminal's answers is shown as an escape. Line ends and tabs stay.
#[must_use]
pub fn sanitize(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(c),
            c if is_unsafe(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

/// The same for text that must stay on one line.
#[must_use]
pub fn sanitize_line(text: &str) -> String {
    sanitize(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// Whether a terminal, or whoever reads what it shows, could be fooled by `c`.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || misleads(c)
}

/// Characters that are not seen but change what is: separators of lines, directions (UAX 9), zero widths, tags, fillers.
fn misleads(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_language_stays_as_it_is() {
        for text in ["plain", "zwei\nZeilen\t", "日本語 العربية Ελληνικά", "e\u{301}"] {
            assert_eq!(sanitize(text), text);
        }
    }

    #[test]
    fn nothing_that_could_fool_a_terminal_or_its_reader_comes_through() {
        for hostile in
            ["\x1b]0;title\x07", "\r", "\x7f", "\u{9b}31m", "\u{202e}gpj.exe", "\u{200b}", "\u{2028}", "\u{e0041}"]
        {
            let safe = sanitize(hostile);
            assert!(safe.contains("\\u{") && !safe.chars().any(|c| c.is_control() || misleads(c)), "{safe}");
        }
        assert_eq!(sanitize_line("a\nb\tc"), "a\\nb\\tc");
    }

    #[test]
    fn a_window_size_is_never_zero_nor_huge() {
        let size = WindowSize { rows: 0, cols: 65_535 }.clamped();
        assert_eq!((size.rows, size.cols), (1, 1000));
    }
}
