//! A program on a terminal, and whoever types there and looks at the screen: one thread, with nothing between it and the
//! terminal that would take time.

use keywire::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Command;

/// Milliseconds of a screen that does not change, after which a bench is given up.
const PATIENCE: u16 = 60_000;

pub struct Screen {
    terminal: File,
    child: Box<dyn Child + Send + Sync>,
    room: Vec<u8>,
    _master: Box<dyn MasterPty + Send>,
}

impl Screen {
    /// Starts `command` on a terminal of its own; its streams are the terminal, whatever they were meant to be.
    pub fn new(command: &Command) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut same = CommandBuilder::new(command.get_program());
        same.args(command.get_args());
        for (name, value) in command.get_envs() {
            same.env(name, value.unwrap());
        }
        same.env("TERM", "xterm");
        let child = pair.slave.spawn_command(same).unwrap();
        let terminal = File::from(sys::duplicate(pair.master.as_raw_fd().unwrap()).unwrap());
        Screen { terminal, child, room: vec![0; 64 << 10], _master: pair.master }
    }

    pub fn type_keys(&mut self, keys: &[u8]) {
        self.terminal.write_all(keys).unwrap();
    }

    /// What is shown next; waits for it.
    pub fn shown(&mut self) -> &[u8] {
        let mut polled = [PollFd::new(self.terminal.as_fd(), PollFlags::POLLIN)];
        assert!(poll(&mut polled, PollTimeout::from(PATIENCE)).unwrap() > 0, "nothing is shown any more");
        let count = self.terminal.read(&mut self.room).unwrap();
        &self.room[..count]
    }

    /// Waits until `text` is shown, and returns how many bytes were, up to there.
    pub fn expect(&mut self, text: &[u8]) -> usize {
        let (mut count, mut last) = (0, Vec::new());
        loop {
            let shown = self.shown();
            count += shown.len();
            last.extend_from_slice(shown);
            if last.windows(text.len()).any(|window| window == text) {
                return count;
            }
            // What may be the beginning of the text.
            last.drain(..last.len().saturating_sub(text.len() - 1));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
