//! What `--help` prints, from the table of options.

use crate::line::options::{Does, OPTIONS, Row};

/// Where the text of an option begins.
const COLUMN: usize = 20;

/// Where a line ends.
const WIDTH: usize = 80;

/// The whole text.
pub(crate) fn help() -> String {
    let mut out = "Usage: kw-pty [options] PEER [command...]\n\n\
        Open a shell, or run a command, on the host that has a key. The command line is\n\
        that of ssh: options stand before PEER or right behind it.\n\n\
        Options:\n"
        .to_owned();
    for row in OPTIONS {
        if let Some(help) = row.help {
            list(&mut out, &names(row), help);
        }
    }
    let ignored: Vec<String> = OPTIONS.iter().filter(|row| is_ignored(row)).map(names).collect();
    out.push_str("\nTaken as ssh's, and ignored:\n");
    list(&mut out, &ignored.join(", "), "");
    out
}

/// Whether an option is there for command lines that were meant for ssh, without being refused.
fn is_ignored(row: &Row) -> bool {
    row.help.is_none()
        && match row.does {
            Does::Nothing => true,
            Does::Name(name) => crate::line::names::is_ignored(name, "x"),
            Does::Stands(name, value) => crate::line::names::is_ignored(name, value),
            _ => false,
        }
}

fn names(row: &Row) -> String {
    let letter = row.letter.map(|letter| format!("-{letter}"));
    let long = row.long.map(|long| format!("--{long}"));
    letter.into_iter().chain(long).collect::<Vec<_>>().join(", ")
}

/// One entry: its names, and its text in a column beside them.
fn list(out: &mut String, names: &str, text: &str) {
    let mut line = format!("  {names:<width$}", width = COLUMN - 3);
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(COLUMN - 1);
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(line.trim_end());
    out.push('\n');
}
