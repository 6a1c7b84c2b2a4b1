//! How a command line is read: where options stand, which value counts, what cannot be.

use super::{Seen, args, error, exec, refused, seen};
use crate::line::args::{Level, Line, Session, TtyWish, parse};
use crate::line::names::{Group, in_group};
use crate::line::options::{Answer, Does, OPTIONS};
use keywire::proto::pty::Op;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The letters of OpenSSH 10.5's client, as getopt(3) has them: a colon stands behind one with a value.
const LETTERS: &str = "1246ACGKMNTVXYafgknqstvxyB:D:E:F:I:J:L:O:P:Q:R:S:W:b:c:e:i:l:m:o:p:w:";

#[test]
fn every_letter_of_ssh_is_known_and_has_a_value_where_ssh_has_one() {
    let bytes = LETTERS.as_bytes();
    for (at, letter) in LETTERS.char_indices().filter(|(_, letter)| *letter != ':') {
        let row = OPTIONS.iter().find(|row| row.letter == Some(letter)).unwrap_or_else(|| panic!("-{letter}"));
        assert_eq!(row.value.is_some(), bytes.get(at + 1) == Some(&b':'), "-{letter}");
    }
    let ours: String = OPTIONS.iter().filter_map(|row| row.letter).filter(|c| !LETTERS.contains(*c)).collect();
    assert_eq!(ours, "h", "a letter that ssh may take for something else one day");
}

#[test]
fn no_letter_and_no_long_name_stands_in_the_table_twice() {
    for (at, row) in OPTIONS.iter().enumerate() {
        let again = OPTIONS.iter().skip(at + 1);
        assert!(again.clone().all(|other| other.letter.is_none() || other.letter != row.letter), "{:?}", row.letter);
        assert!(again.clone().all(|other| other.long.is_none() || other.long != row.long), "{:?}", row.long);
    }
}

#[test]
fn every_setting_that_an_option_stands_for_is_one() {
    for row in OPTIONS {
        if let Does::Name(name) | Does::NameAlways(name) | Does::Stands(name, _) = row.does {
            let known = in_group(Group::ActedOn).chain(in_group(Group::Refused)).chain(in_group(Group::Ignored));
            assert!(known.into_iter().any(|known| known == name), "{name}");
        }
    }
}

#[test]
fn options_stand_before_the_host_and_right_behind_it() {
    assert_eq!(
        seen(&["-n", "h", "-p", "7", "-l", "PK", "ls", "-p", "9"]),
        Seen { stdin: false, ..exec("ls -p 9").key("PK").port(7) }
    );
    assert_eq!(seen(&["h", "--port", "7", "ls", "--port", "9"]), exec("ls --port 9").port(7));
}

#[test]
fn two_dashes_end_the_options_in_either_place() {
    assert_eq!(seen(&["h", "-p7", "--", "-p9"]), exec("-p9").port(7));
    // Nothing is an option any more, not even right behind the host.
    assert_eq!(seen(&["-p7", "--", "h", "-p9"]), exec("-p9").port(7));
    assert_eq!(seen(&["--", "h", "--", "x"]), exec("-- x"));
    assert_eq!(seen(&["h", "--", "--", "x"]), exec("-- x"));
    assert_eq!(seen(&["h", "ls", "--", "x"]), exec("ls -- x"));
}

#[test]
fn a_lone_dash_is_a_word() {
    assert_eq!(seen(&["h", "-", "-n"]), exec("- -n"));
}

#[test]
fn letters_stand_together_and_a_value_right_behind_its_letter() {
    let args = args(&["-nTvp2022", "-oPort=7", "-vvv", "-lPK", "h"]);
    assert_eq!((args.stdin_null, args.tty, args.port), (Some(true), Some(TtyWish::No), Some(2022)));
    assert_eq!((args.log, args.user.as_deref()), (Some(Level::Verbose), Some("PK")));
    // The value of a letter may be anything, also what looks like an option.
    assert_eq!(super::args(&["-l", "--", "h"]).user.as_deref(), Some("--"));
    assert_eq!(super::args(&["-l", "-n", "h"]).stdin_null, None);
}

#[test]
fn long_names_are_ours_and_take_their_value_either_way() {
    for words in [["--port", "7", "h"].as_slice(), &["--port=7", "h"], &["h", "--port=7"]] {
        assert_eq!(args(words).port, Some(7));
    }
    assert_eq!(args(&["--login=a=b", "h"]).user.as_deref(), Some("a=b"));
    refused(&["--nonsense", "h"], "unknown option --nonsense");
    refused(&["--port"], "--port needs a value");
    assert!(error(&["--quiet=1", "h"]).to_string().contains("takes no value"));
}

#[test]
fn the_first_value_counts_however_it_was_given() {
    for words in [
        ["-p", "7", "-p", "1", "h"].as_slice(),
        &["-p", "7", "-o", "Port=1", "h"],
        &["-oPort=7", "-p1", "h"],
        &["--port=7", "h", "-p", "1"],
        &["-oport 7", "-oPORT=1", "h"],
        &["-p7", "ssh://h:1"],
    ] {
        assert_eq!(args(words).port, Some(7), "{words:?}");
    }
    assert_eq!(args(&["-i", "a", "-i", "b", "-oIdentityFile=c", "h"]).identity.unwrap().to_str(), Some("a"));
    assert_eq!(args(&["-l", "a", "b@h"]).user.as_deref(), Some("a"));
    assert_eq!(args(&["b@h", "-l", "a"]).user.as_deref(), Some("b"));
    assert_eq!(args(&["-oSetEnv=A=1", "-oSetEnv=B=2", "h"]).env.unwrap(), [("A".to_owned(), "1".to_owned())]);
}

#[test]
fn a_letter_without_a_value_counts_for_more_than_what_came_before() {
    assert_eq!(args(&["-oStdinNull=no", "-n", "h"]).stdin_null, Some(true));
    assert_eq!(args(&["-n", "-oStdinNull=no", "h"]).stdin_null, Some(true));
    assert_eq!(args(&["-4", "-6", "h"]).family, Some(keywire::conn::Family::V6));
    assert_eq!(args(&["-q", "-v", "h"]).log, Some(Level::Verbose));
    assert_eq!(args(&["-v", "-q", "h"]).log, Some(Level::Quiet));
    assert_eq!(args(&["-v", "-oLogLevel=quiet", "h"]).log, Some(Level::Verbose));
    assert_eq!(args(&["-e", "a", "-e", "none", "h"]).escape, Some(None));
}

#[test]
fn one_t_is_a_terminal_if_there_is_one_and_two_are_one_in_any_case() {
    use TtyWish::{Auto, Force, No, Yes};
    for (words, wish) in [
        (["-t", "h"].as_slice(), Yes),
        (&["-tt", "h"], Force),
        (&["-t", "h", "-t"], Force),
        // As in ssh, which counts the third as a first.
        (&["-ttt", "h"], Yes),
        (&["-tT", "h"], No),
        (&["-Tt", "h"], Yes),
        (&["-tTt", "h"], Yes),
        (&["-oRequestTTY=yes", "-t", "h"], Force),
        (&["-oRequestTTY=force", "h"], Force),
        (&["-t", "-oRequestTTY=no", "h"], Yes),
        (&["-oRequestTTY=auto", "-oRequestTTY=no", "h"], Auto),
    ] {
        assert_eq!(args(words).tty, Some(wish), "{words:?}");
    }
}

#[test]
fn who_gets_a_terminal_depends_on_what_there_is_here() {
    for (words, with, without) in [
        (["h"].as_slice(), true, false),
        (&["h", "ls"], false, false),
        (&["-t", "h", "ls"], true, false),
        (&["-tt", "h", "ls"], true, true),
        (&["-T", "h"], false, false),
        (&["-s", "-tt", "h", "sftp"], false, false),
        (&["-N", "-tt", "h"], false, false),
    ] {
        let args = args(words);
        let wants = [true, false].map(|terminal| crate::plan::wants_tty(&args, terminal));
        assert_eq!(wants, [with, without], "{words:?}");
    }
}

#[test]
fn an_empty_command_is_a_shell_and_words_are_joined_by_one_blank() {
    for words in [["h", ""].as_slice(), &["h"], &["h", "--"], &["h", "--", ""]] {
        assert_eq!(seen(words), Seen { op: Op::Shell, command: None, ..exec("") });
    }
    assert_eq!(seen(&["h", "echo", "a  b", "", "$HOME"]), exec("echo a  b  $HOME"));
    assert_eq!(seen(&["h", "", ""]), exec(" "));
}

#[test]
fn a_command_keeps_its_bytes_and_options_are_text() {
    let words = |words: &[&[u8]]| parse(words.iter().map(|word| OsString::from_vec(word.to_vec())));
    let Ok(Line::Run(args)) = words(&[b"h", b"cat", b"/\xff"]) else { panic!("a command may be any bytes") };
    assert_eq!(args.command.as_deref(), Some(&b"cat /\xff"[..]));
    assert_eq!(crate::plan::request(&args, false).unwrap().1, b"cat /\xff");
    assert!(words(&[b"-l", b"\xff", b"h"]).unwrap_err().to_string().contains(r"-l is not UTF-8: \xff"));
    assert!(words(&[b"\xff"]).unwrap_err().to_string().contains("the host is not UTF-8"));
    assert!(words(&[b"-\xff"]).unwrap_err().to_string().contains(r"unknown option -\xff"));
}

#[test]
fn nothing_is_read_of_what_goes_to_the_background_or_runs_nothing() {
    assert_eq!(seen(&["-f", "h", "x"]), Seen { stdin: false, ..exec("x") });
    assert_eq!(seen(&["-oForkAfterAuthentication=yes", "h", "x"]), Seen { stdin: false, ..exec("x") });
    assert_eq!(seen(&["-N", "h", "x"]), Seen { op: Op::None, command: None, stdin: false, ..exec("") });
    assert_eq!(seen(&["-oSessionType=none", "h"]).op, Op::None);
    assert_eq!(seen(&["-fN", "h"]).op, Op::None);
}

#[test]
fn a_command_may_come_as_a_setting_but_not_twice() {
    // Quotes and all: it is for the shell there.
    assert_eq!(seen(&["-oRemoteCommand=ls  \"a b\" # c", "h"]), exec("ls  \"a b\" # c"));
    assert_eq!(seen(&["-oRemoteCommand=none", "-oRemoteCommand=ls", "h"]).op, Op::Shell);
    refused(&["-oRemoteCommand=ls", "h", "x"], "two commands");
    assert!(args(&["-f", "-oRemoteCommand=ls", "h"]).is_background());
}

#[test]
fn what_cannot_go_together_is_refused() {
    refused(&["-f", "h"], "a shell cannot go to the background");
    refused(&["-s", "h"], "the name of a subsystem");
    refused(&["-s", "h", ""], "the name of a subsystem");
    for words in [["-N", "-s", "h", "x"], ["-s", "-N", "h", "x"], ["-oSessionType=default", "-N", "h", "x"]] {
        assert!(error(&words).to_string().contains("only one of -N, -s"), "{words:?}");
    }
    assert_eq!(args(&["-N", "-N", "h"]).session, Some(Session::None));
    assert_eq!(args(&["-N", "-oSessionType=subsystem", "h"]).session, Some(Session::None));
    assert!(error(&["--try", "-f", "x"]).to_string().contains("foreground"));
}

#[test]
fn a_missing_host_an_unknown_letter_and_a_missing_value_are_errors() {
    for words in [["-n"].as_slice(), &[], &["--"], &["-N", ""], &["@h"], &["PK@"]] {
        refused(words, "no host");
    }
    for (words, what) in [(["-z", "h"], "-z"), (["-nz", "h"], "-z"), (["h", "-z"], "-z"), (["-t-", "h"], "--")] {
        refused(&words, &format!("unknown option {what}"));
    }
    refused(&["-p"], "-p needs a value");
    refused(&["h", "-np"], "-p needs a value");
}

#[test]
fn what_only_asks_is_answered_before_anything_else_is_looked_at() {
    let asked = |words: &[&str]| parse(words.iter().map(OsString::from)).unwrap();
    assert_eq!(asked(&["-V"]), Line::Tell(Answer::VersionAsTalk));
    assert_eq!(asked(&["-nV", "-Z"]), Line::Tell(Answer::VersionAsTalk));
    assert_eq!(asked(&["h", "-V"]), Line::Tell(Answer::VersionAsTalk));
    assert_eq!(asked(&["--version"]), Line::Tell(Answer::Version));
    assert_eq!(asked(&["-h"]), Line::Tell(Answer::Help));
    assert_eq!(seen(&["h", "x", "-V"]), exec("x -V"));
}

#[test]
fn to_try_it_out_needs_no_host() {
    let args = args(&["--try", "-t", "echo", "-n"]);
    assert!(args.r#try && args.host.is_none());
    assert_eq!(args.command.as_deref(), Some(&b"echo -n"[..]));
    refused(&["h", "--try", "echo"], "--try makes its own host");
}

#[test]
fn what_ssh_has_and_keywire_has_not_is_refused_by_its_letter_with_what_to_do() {
    for letter in "1AgKMXYy".chars() {
        refused(&[&format!("-{letter}"), "h"], &format!("-{letter}: "));
    }
    for letter in "BbDIJLOPQRSWw".chars() {
        refused(&[&format!("-{letter}"), "7", "h"], &format!("-{letter}: "));
    }
    for words in ["-2aCkx", "-cnone", "-mnone", "-Snone", "-Fnone", "-F/dev/null", "-Jnone", "-wno"] {
        assert_eq!(seen(&[words, "h", "x"]), exec("x"));
    }
}
