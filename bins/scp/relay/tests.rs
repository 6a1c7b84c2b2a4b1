//! Two hosts that say what a test tells them to, and the relay between them.

use super::*;
use keywire::cli;
use keywire::conn::{BulkOptions, DialOptions, ListenOptions, Listener, dial};
use keywire::key::KeyPair;
use keywire::proto::copy::{File, Form, Meta};
use keywire::proto::pty::PTY;
use keywire::trust::{Allowlist, Right};
use std::thread::{JoinHandle, spawn};
use std::time::SystemTime;

/// A link to a host that does as `play` says.
fn host<T: Send + 'static>(play: fn(BulkSender, BulkReceiver) -> T) -> (Link, JoinHandle<T>) {
    let (host, guest) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut allowlist = Allowlist::default();
    allowlist.rule_mut(guest.public()).rights.insert(Right::Shell);
    let (give, at) = std::sync::mpsc::channel();
    let playing = spawn(move || {
        let (sender, receiver, breaker) = cli::block_on(async {
            let at = "127.0.0.1:0".parse()?;
            let mut listener = Listener::bind(host.into(), &at, PTY, ListenOptions::default()).await?;
            give.send(listener.address()?).unwrap();
            let incoming = listener.accept().await?;
            let grant = allowlist.grant(&incoming.peer(), Right::Shell, SystemTime::now())?;
            incoming.authorize(&grant)?.into_bulk(BulkOptions::default())
        })
        .unwrap();
        let played = play(sender, receiver);
        breaker.wait();
        played
    });
    let to = at.recv().unwrap();
    let (out, incoming, breaker) = cli::block_on(async {
        dial(&guest, &to, PTY, b"{}", DialOptions::default()).await?.into_bulk(BulkOptions::default())
    })
    .unwrap();
    (Link { out, incoming, breaker }, playing)
}

fn say(out: &mut BulkSender, message: &FromSender<'_>) {
    let (kind, front, rest) = message.encode();
    out.push(kind, &[&front, rest]).unwrap();
}

fn report(out: &mut BulkSender, message: &FromReceiver<'_>) {
    let (kind, body) = message.encode();
    out.push(kind, &[&body]).unwrap();
    out.flush().unwrap();
}

/// The types of all records that come, up to the close, and how it ended.
fn hear(mut incoming: BulkReceiver) -> (Vec<u8>, Option<Error>) {
    let mut kinds = Vec::new();
    loop {
        match incoming.recv() {
            Ok(Some(batch)) => kinds.extend(batch.records().map(|record| record.kind)),
            Ok(None) => return (kinds, None),
            Err(error) => return (kinds, Some(error)),
        }
    }
}

fn file(name: &'static [u8]) -> FromSender<'static> {
    FromSender::File(File { form: Form::Complete, meta: Meta::default(), size: 3, offset: 0, name, data: b"abc" })
}

/// Relays what was asked for as `a`, and says what was seen of it.
fn run(from: Link, to: Link) -> (std::result::Result<(), (Way, Error)>, Vec<String>) {
    let mut seen = Vec::new();
    let wishes = Request::new(Way::FromHost);
    let ended = relay(from, to, &[b"a".to_vec()], &wishes, |event| match event {
        Event::Stored { path, size, .. } => seen.push(format!("stored {} {size}", path.escape_ascii())),
        Event::Failed { path, why } => seen.push(format!("failed {} {why}", path.escape_ascii())),
        Event::Kept { path } => seen.push(format!("interrupted in {}", path.escape_ascii())),
        _ => {}
    });
    (ended, seen)
}

/// A host that sends `a` and no more.
fn sends_a(mut out: BulkSender, incoming: BulkReceiver) -> (Vec<u8>, Option<Error>) {
    for message in [FromSender::Begin(1), FromSender::Top(0, b"a"), file(b""), FromSender::End(1)] {
        say(&mut out, &message);
    }
    out.close().unwrap();
    hear(incoming)
}

#[test]
fn what_one_host_sends_comes_to_the_other_and_its_reports_come_back() {
    let (from, sender) = host(sends_a);
    let (to, receiver) = host(|mut out, incoming| {
        let heard = hear(incoming);
        report(&mut out, &FromReceiver::Stored(1));
        report(&mut out, &FromReceiver::Done);
        out.close().unwrap();
        heard
    });
    let (ended, seen) = run(from, to);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(seen, ["stored a 3"]);
    assert_eq!(receiver.join().unwrap().0, [0x11, 0x12, 0x15, 0x1f]);
    let (heard, error) = sender.join().unwrap();
    assert_eq!((heard, error.is_none()), (vec![0x22, 0x25], true));
}

#[test]
fn what_was_not_asked_for_does_not_come_to_the_other_host() {
    let (from, sender) = host(|mut out, incoming| {
        for message in [FromSender::Begin(1), FromSender::Top(0, b".bashrc"), file(b""), FromSender::End(1)] {
            say(&mut out, &message);
        }
        // It may have been cut by then.
        let _ = out.close();
        hear(incoming)
    });
    let (to, receiver) = host(|out, incoming| {
        let heard = hear(incoming);
        let _ = out.close();
        heard
    });
    let (ended, seen) = run(from, to);
    let (way, error) = ended.unwrap_err();
    assert_eq!(way, Way::FromHost);
    assert!(error.to_string().contains("'.bashrc' was not asked for"), "{error}");
    assert_eq!(seen, [""; 0]);
    let (heard, error) = receiver.join().unwrap();
    assert!(!heard.contains(&0x12) && !heard.contains(&0x15), "{heard:?}");
    assert!(error.unwrap().to_string().contains("the other host"));
    assert!(sender.join().unwrap().1.unwrap().to_string().contains("not asked for"));
}

#[test]
fn a_target_that_is_hopeless_is_said_once_and_is_no_fault_of_a_host() {
    let (from, sender) = host(|mut out, incoming| {
        say(&mut out, &FromSender::Begin(1));
        out.flush().unwrap();
        let heard = hear(incoming);
        out.close().unwrap();
        heard
    });
    let (to, receiver) = host(|mut out, incoming| {
        report(&mut out, &FromReceiver::Hopeless("x\x1b: no such directory"));
        out.close().unwrap();
        hear(incoming)
    });
    let (ended, seen) = run(from, to);
    let (way, error) = ended.unwrap_err();
    assert_eq!((way, error.kind().exit_status(), seen.len()), (Way::ToHost, 1, 0));
    assert_eq!(error.to_string(), "x\\u{1b}: no such directory");
    let (heard, error) = sender.join().unwrap();
    assert_eq!((heard, error.map(|error| error.to_string())), (vec![0x24], None));
    assert!(receiver.join().unwrap().1.is_none());
}

#[test]
fn each_host_is_told_when_the_other_is_gone() {
    let (from, sender) = host(|mut out, incoming| {
        say(&mut out, &FromSender::Begin(1));
        out.flush().unwrap();
        hear(incoming)
    });
    let (to, receiver) = host(|out, incoming| {
        out.fail(Reason::Refused, "your key was taken off the list");
        drop(incoming);
    });
    let (ended, _) = run(from, to);
    let (way, error) = ended.unwrap_err();
    assert_eq!(way, Way::ToHost);
    assert!(error.to_string().contains("taken off the list"), "{error}");
    assert!(sender.join().unwrap().1.unwrap().to_string().contains("the other host of the copy is gone"));
    receiver.join().unwrap();
}

#[test]
fn a_report_about_what_was_never_sent_ends_the_copy() {
    let (from, sender) = host(|mut out, incoming| {
        say(&mut out, &FromSender::Begin(1));
        out.flush().unwrap();
        hear(incoming)
    });
    let (to, receiver) = host(|mut out, incoming| {
        report(&mut out, &FromReceiver::Stored(1));
        hear(incoming)
    });
    let (way, error) = run(from, to).0.unwrap_err();
    assert_eq!(way, Way::ToHost);
    assert!(error.to_string().contains("STORED for 1 items"), "{error}");
    assert!(receiver.join().unwrap().1.is_some());
    assert!(sender.join().unwrap().1.is_some());
}

/// A host that says that it stored so many, and that it is done, when it has heard all.
fn stores<const COUNT: u64>(mut out: BulkSender, incoming: BulkReceiver) -> (Vec<u8>, Option<Error>) {
    let heard = hear(incoming);
    report(&mut out, &FromReceiver::Stored(COUNT));
    report(&mut out, &FromReceiver::Done);
    let _ = out.close();
    heard
}

fn begins(mut out: BulkSender, rest: &[FromSender<'_>]) {
    let file = File { form: Form::Pieces, meta: Meta::default(), size: 3, offset: 0, name: b"", data: b"a" };
    for message in [FromSender::Begin(1), FromSender::Top(0, b"a"), FromSender::File(file)].iter().chain(rest) {
        say(&mut out, message);
    }
    let _ = out.close();
}

#[test]
fn a_file_that_was_given_up_is_not_stored_and_that_is_said_once() {
    use FromSender::{Abandoned, End, Problem, Total};
    let silent = |out: BulkSender, incoming| {
        begins(out, &[Abandoned, Total(1, 3), End(1)]);
        hear(incoming)
    };
    let before = |out: BulkSender, incoming| {
        begins(out, &[Problem(b"a", "why"), Abandoned, End(1)]);
        hear(incoming)
    };
    let behind = |out: BulkSender, incoming| {
        begins(out, &[Abandoned, Total(1, 3), Problem(b"a", "why"), End(1)]);
        hear(incoming)
    };
    let other = |out: BulkSender, incoming| {
        begins(out, &[Abandoned, Problem(b"b", "why"), End(1)]);
        hear(incoming)
    };
    let silent = (host(silent), &["failed a the host gave it up"][..]);
    let before = (host(before), &["failed a why"][..]);
    let behind = (host(behind), &["failed a why"][..]);
    let other = (host(other), &["failed a the host gave it up", "failed b why"][..]);
    for ((from, sender), said) in [silent, before, behind, other] {
        let (to, receiver) = host(stores::<1>);
        let (ended, seen) = run(from, to);
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!(seen, said);
        assert!(sender.join().unwrap().1.is_none() && receiver.join().unwrap().1.is_none());
    }
}

#[test]
fn a_receiver_that_is_done_too_soon_is_the_one_to_blame() {
    let early = host(|mut out, incoming| {
        report(&mut out, &FromReceiver::Done);
        let _ = out.close();
        hear(incoming)
    });
    let silent = host(|mut out, incoming| {
        say(&mut out, &FromSender::Begin(1));
        out.flush().unwrap();
        hear(incoming)
    });
    let unsettled = (host(sends_a), host(stores::<0>), "before all items are settled");
    for ((from, sender), (to, receiver), why) in [(silent, early, "before the END"), unsettled] {
        let (way, error) = run(from, to).0.unwrap_err();
        assert!(way == Way::ToHost && error.to_string().contains(why), "{error}");
        let _ = (sender.join(), receiver.join());
    }
}

#[test]
fn what_is_stored_but_not_as_it_should_be_counts_as_failed() {
    let (from, sender) = host(sends_a);
    let (to, receiver) = host(|mut out, incoming| {
        let heard = hear(incoming);
        report(&mut out, &FromReceiver::Stored(1));
        report(&mut out, &FromReceiver::Problem(b"a", "another time"));
        report(&mut out, &FromReceiver::Done);
        out.close().unwrap();
        heard
    });
    let (ended, seen) = run(from, to);
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(seen, ["stored a 3", "failed a another time"]);
    assert_eq!(sender.join().unwrap().0, [0x22, 0x26, 0x25]);
    assert!(receiver.join().unwrap().1.is_none());
}

#[test]
fn a_copy_that_ends_inside_a_file_names_it() {
    let (from, sender) = host(|out, incoming| {
        begins(out, &[]);
        hear(incoming)
    });
    let (to, receiver) = host(|out, incoming| {
        let heard = hear(incoming);
        let _ = out.close();
        heard
    });
    let (ended, seen) = run(from, to);
    assert_eq!(ended.unwrap_err().0, Way::FromHost);
    assert_eq!(seen, ["interrupted in a"]);
    let _ = (sender.join(), receiver.join());
}
