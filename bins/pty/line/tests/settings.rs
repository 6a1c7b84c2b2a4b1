//! `-o` lines: how they are written, which names there are, and what values they take.

use super::{args, error, refused};
use crate::line::args::{Level, Session};
use crate::line::names::{self, Group};
use keywire::conn::Family;
use std::collections::BTreeSet;
use std::time::Duration;

/// Names as the page lists them under one heading: its lines `.It Cm Name ...`, or its lines `.Cm Name , Name ,`.
fn on_the_page(from: &str, to: &str) -> BTreeSet<String> {
    let page = include_str!("../../../../man/kw-pty.1");
    let section = page.split(from).nth(1).unwrap().split(to).next().unwrap();
    let mut names = BTreeSet::new();
    for line in section.lines() {
        match (line.strip_prefix(".It Cm "), line.strip_prefix(".Cm ")) {
            (Some(item), _) => names.extend(item.split(' ').next()),
            (None, Some(list)) if !section.contains(".It Cm ") => {
                names.extend(list.split(' ').filter(|word| word.len() > 1));
            }
            _ => {}
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_page_lists_the_names_of_each_kind_and_no_others() {
    for (group, from, to) in [
        (Group::ActedOn, ".Ss Names for -o", "These are taken with a value that asks for nothing"),
        (Group::Refused, "too.\n.Pp\n", ".Pp\nThese are taken and ignored"),
        (Group::Ignored, "its own list of variables.\n.Pp\n", "So are these"),
        (Group::Obsolete, "may only be\n.Cm none :\n.Pp\n", "Every other name"),
    ] {
        let known: BTreeSet<String> = names::in_group(group).map(str::to_owned).collect();
        assert_eq!(known, on_the_page(from, to), "{group:?}: the table on the left, the page on the right");
    }
}

#[test]
fn no_name_stands_in_two_groups() {
    let mut all = BTreeSet::new();
    for group in [Group::ActedOn, Group::Refused, Group::Ignored, Group::Obsolete] {
        for name in names::in_group(group) {
            assert!(all.insert(name.to_lowercase()), "{name}");
        }
    }
}

#[test]
fn a_line_may_be_written_in_every_way_that_ssh_reads() {
    for line in [
        "Port=7",
        "port=7",
        "PORT 7",
        "Port = 7",
        "Port\t7",
        " Port=7",
        "Port=\"7\"",
        "Port '7'",
        "Port=7 # one",
        "Port =7 ",
    ] {
        assert_eq!(args(&["-o", line, "h"]).port, Some(7), "{line:?}");
    }
    for line in ["", "  ", "# Port=7"] {
        assert_eq!(args(&["-o", line, "h"]).port, None, "{line:?}");
    }
    assert_eq!(args(&["-o", "User=\"a b\"", "h"]).user.as_deref(), Some("a b"));
    assert_eq!(args(&["-o", r#"User="a\"b\\c""#, "h"]).user.as_deref(), Some(r#"a"b\c"#));
    assert_eq!(args(&["-o", r"User=a\ b", "h"]).user.as_deref(), Some("a b"));
}

#[test]
fn a_line_that_makes_no_sense_is_an_error_that_names_it() {
    for (line, what) in [
        ("Port", "-o Port: the value is missing"),
        ("Port=", "-o Port: the value is missing"),
        ("Port=\"\"", "-o Port: the value is missing"),
        ("Port=7 8", "-o Port: there must be one value"),
        ("Port==7", "-o Port: '=7' is no port"),
        ("Port=0", "-o Port: '0' is no port"),
        ("Port=65536", "-o Port: '65536' is no port"),
        ("User=\"a", "-o User: a quote is not closed"),
        ("BatchMode=1", "-o BatchMode: '1' is none of yes, no"),
        ("LogLevel=loud", "-o LogLevel: 'loud' is none of QUIET"),
        ("ConnectTimeout=x", "-o ConnectTimeout: 'x' is no time"),
        ("ConnectTimeout=-1", "-o ConnectTimeout: '-1' is no time"),
        ("EscapeChar=ab", "-o EscapeChar: 'ab' cannot start an escape"),
        ("SetEnv=A", "-o SetEnv: 'A' sets no variable"),
        ("ObscureKeystrokeTiming=interval:0", "'0' is no interval"),
        ("IdentityFile=none", "-o IdentityFile: nobody is dialed"),
        ("Ciphers", "-o Ciphers: the value is missing"),
    ] {
        let told = error(&["-o", line, "h"]).to_string();
        assert!(told.contains(what), "{line}: {told}");
    }
}

#[test]
fn values_are_read_as_ssh_reads_them() {
    let set = |line: &str| args(&["-o", line, "h"]);
    assert_eq!(set("ConnectTimeout=90").connect_timeout, Some(Duration::from_secs(90)));
    assert_eq!(set("ConnectTimeout=1h30m5").connect_timeout, Some(Duration::from_secs(5405)));
    assert_eq!(set("ConnectTimeout=none").connect_timeout, Some(Duration::ZERO));
    assert_eq!(set("ServerAliveInterval=2m").keepalive, Some(Duration::from_secs(120)));
    assert_eq!(set("BatchMode=TRUE").batch, Some(true));
    assert_eq!(set("AddressFamily=inet6").family, Some(Family::V6));
    assert_eq!(set("LogLevel=debug3").log, Some(Level::Verbose));
    assert_eq!(set("EscapeChar=^]").escape, Some(Some(0x1d)));
    assert_eq!(set("EscapeChar=none").escape, Some(None));
    assert_eq!(set("ObscureKeystrokeTiming=interval:80").hide_timing, Some(true));
    assert_eq!(set("ObscureKeystrokeTiming=no").hide_timing, Some(false));
    let env = set("SetEnv=A=1 B=\"x y\" A=2").env.unwrap();
    assert_eq!(env, [("A".to_owned(), "1".to_owned()), ("B".to_owned(), "x y".to_owned())]);
}

#[test]
fn the_options_of_our_own_are_settings_of_ssh_where_ssh_has_them() {
    let args = args(&["--keepalive", "5", "--hide-timing", "h"]);
    assert_eq!((args.keepalive, args.hide_timing), (Some(Duration::from_secs(5)), Some(true)));
    assert_eq!(super::args(&["-oServerAliveInterval=7", "--keepalive", "5", "h"]).keepalive.unwrap().as_secs(), 7);
}

#[test]
fn an_unknown_name_is_refused_unless_it_was_said_that_it_may_be() {
    refused(&["-o", "FooBar=1", "h"], "unknown name 'FooBar'");
    refused(&["-oFooBar=1", "-oIgnoreUnknown=Foo*", "h"], "unknown name 'FooBar'");
    for patterns in ["foo*", "FOOBAR", "x,f??b*", "*"] {
        assert_eq!(args(&["-o", &format!("IgnoreUnknown={patterns}"), "-oFooBar=1", "h"]).port, None, "{patterns}");
    }
    for patterns in ["foo", "!foobar,*", "*,!foo*", "?"] {
        refused(&["-o", &format!("IgnoreUnknown={patterns}"), "-oFooBar=1", "h"], "unknown name");
    }
    // A name that is known stays refused.
    refused(&["-oIgnoreUnknown=*", "-oForwardAgent=yes", "h"], "has no agent");
}

#[test]
fn a_setting_that_keywire_has_not_may_only_ask_for_nothing() {
    for (name, nothing, something) in [
        ("ControlMaster", "no", "yes"),
        ("ControlMaster", "auto", "ask"),
        ("ForwardAgent", "no", "yes"),
        ("ForwardX11", "No", "yes"),
        ("PermitLocalCommand", "no", "yes"),
        ("Tunnel", "no", "ethernet"),
        ("ProxyJump", "none", "a,b"),
        ("ProxyCommand", "none", "nc %h %p"),
        ("DynamicForward", "none", "1080"),
        ("LocalForward", "none", "1 a:2"),
        ("RemoteForward", "none", "1 a:2"),
    ] {
        args(&["-o", &format!("{name}={nothing}"), "h"]);
        refused(&["-o", &format!("{name}={something}"), "h"], &format!("-o {name}: "));
    }
    args(&["-oClearAllForwardings=yes", "-oStrictHostKeyChecking=accept-new", "-oSendEnv=LANG LC_*", "h"]);
    assert_eq!(args(&["-oIdentityFile2=k", "h"]).identity.unwrap().to_str(), Some("k"));
}

#[test]
fn a_session_type_is_taken_like_its_letter() {
    assert_eq!(args(&["-oSessionType=subsystem", "h", "sftp"]).session, Some(Session::Subsystem));
    assert_eq!(args(&["-oSessionType=default", "h"]).session, Some(Session::Default));
    refused(&["-oSessionType=subsystem", "h"], "the name of a subsystem");
}
