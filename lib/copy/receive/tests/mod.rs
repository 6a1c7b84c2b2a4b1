//! The receiver against senders that do as they like.

mod metadata;
mod order;
mod placing;
mod resuming;
mod safety;

use super::*;
use crate::conn::bulk_pair;
use crate::proto::copy::{File, Form, Meta, Way};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, in which `to` is a directory too.
struct Yard(PathBuf);

impl Yard {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("keywire-receive-{}-{count}", std::process::id()));
        std::fs::create_dir_all(path.join("to")).unwrap();
        Yard(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::MetadataExt;
        std::fs::symlink_metadata(self.at(name)).unwrap().mode() & 0o7777
    }

    /// Names in a directory, sorted, parts among them.
    fn names(&self, below: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.at(below))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Receives into `to` what a sender says.
    fn receive(&self, wishes: &Request, messages: &[FromSender<'_>]) -> Copied {
        copy(&self.at("to"), None, wishes, messages)
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a copy went.
#[derive(Debug)]
struct Copied {
    outcome: Result<Outcome>,
    events: Vec<String>,
    /// What the receiver said, as `{:?}` shows it.
    said: Vec<String>,
    /// How its direction ended.
    end: Result<()>,
}

impl Copied {
    fn is_whole(&self, stored: u64) -> bool {
        self.end.is_ok() && self.outcome.as_ref().is_ok_and(|is| *is == Outcome { stored, failed: 0 })
    }

    /// Everything came to its end, but for what failed for this reason.
    fn failed(&self, why: &str) -> bool {
        let said = self.said.iter().any(|said| said.starts_with("Failed(") && said.contains(why));
        let watched = self.events.iter().any(|event| event.starts_with("failed ") && event.contains(why));
        let counted = self.outcome.as_ref().is_ok_and(|outcome| outcome.failed > 0);
        said && watched && counted && self.said.last().is_some_and(|said| said == "Done")
    }

    /// The receiver broke off because of the sender, and told it.
    fn broke(&self, why: &str) -> bool {
        let here = self.outcome.as_ref().is_err_and(|error| error.to_string().contains(why));
        let there = self.end.as_ref().is_err_and(|error| error.to_string().contains(why));
        here && there && !self.said.iter().any(|said| said == "Done")
    }

    /// The receiver could do nothing, and said why.
    fn hopeless(&self, why: &str) -> bool {
        let here = self.outcome.as_ref().is_err_and(|error| error.to_string().contains(why));
        let there = self.said.iter().any(|said| said.starts_with("Hopeless(") && said.contains(why));
        here && there && self.end.is_ok()
    }
}

fn wishes() -> Request {
    Request { recursive: true, links: true, sync: Sync::None, ..Request::new(Way::ToHost) }
}

fn preserving() -> Request {
    Request { preserve: true, ..wishes() }
}

fn note(event: &Event<'_>) -> String {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    match event {
        Event::Began { path, kind, size } => format!("began {} {kind:?} {size:?}", text(path)),
        Event::Moved(bytes) => format!("moved {bytes}"),
        Event::Stored { path, kind, size } => format!("stored {} {kind:?} {size}", text(path)),
        Event::Failed { path, why } => format!("failed {} {why}", text(path)),
        Event::Kept { path } => format!("kept {}", text(path)),
        Event::Total { files, bytes } => format!("total {files} {bytes}"),
    }
}

/// How the sender ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    Close,
    /// The connection is lost.
    Vanish,
}

fn copy(to: &std::path::Path, asked: Option<&[&str]>, wishes: &Request, messages: &[FromSender<'_>]) -> Copied {
    copy_until(to, asked, wishes, messages, Goodbye::Close)
}

fn copy_until(
    to: &std::path::Path,
    asked: Option<&[&str]>,
    wishes: &Request,
    messages: &[FromSender<'_>],
    goodbye: Goodbye,
) -> Copied {
    let place = Place::of_process().unwrap();
    run(&Target::Path(&place, to.as_os_str().as_bytes()), asked, wishes, |_, mouth| {
        for message in messages {
            mouth.say(message);
        }
        goodbye
    })
}

/// What a sender says things with.
struct Mouth(BulkSender);

impl Mouth {
    /// A receiver that has ended takes no more.
    fn say(&mut self, message: &FromSender<'_>) {
        let (kind, front, rest) = message.encode();
        let _ = self.0.push(kind, &[&front, rest]);
    }

    fn flush(&mut self) {
        let _ = self.0.flush();
    }
}

/// Runs a receiver against `sender`, which is given what the receiver says and a way to say something.
fn run(
    target: &Target<'_>,
    asked: Option<&[&str]>,
    wishes: &Request,
    sender: impl FnOnce(&mut BulkReceiver, &mut Mouth) -> Goodbye,
) -> Copied {
    let ((out, mut back, breaker), (answers, incoming, _breaker)) = bulk_pair();
    let mut mouth = Mouth(out);
    let asked: Option<Vec<Vec<u8>>> = asked.map(|asked| asked.iter().map(|one| one.as_bytes().to_vec()).collect());
    let mut events = Vec::new();
    let (outcome, said, end) = std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let watch = &mut |event: Event<'_>| events.push(note(&event));
            receive(target, asked.as_deref(), wishes, answers, incoming, watch)
        });
        let goodbye = sender(&mut back, &mut mouth);
        mouth.flush();
        let mut said = Vec::new();
        if goodbye == Goodbye::Vanish {
            drop((mouth, back, breaker));
            return (receiving.join().unwrap(), said, Ok(()));
        }
        // Sent from here on whatever the receiver says meanwhile.
        let closing = scope.spawn(move || mouth.0.close());
        let end = loop {
            match back.recv() {
                Ok(Some(batch)) => {
                    said.extend(batch.records().map(|record| format!("{:?}", FromReceiver::decode(&record).unwrap())))
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Who fails waits until the other side has closed.
        drop((back, breaker));
        let _ = closing.join();
        (receiving.join().unwrap(), said, end)
    });
    Copied { outcome, events, said, end }
}

const META: Meta = Meta { mode: 0o644, seconds: 1_000_000_000, nanos: 123_456_789 };

/// A file that is all there.
fn small<'a>(name: &'a str, data: &'a str) -> FromSender<'a> {
    let size = data.len() as u64;
    FromSender::File(File {
        form: Form::Complete,
        meta: META,
        size,
        offset: 0,
        name: name.as_bytes(),
        data: data.as_bytes(),
    })
}

/// The beginning of a file that goes on.
fn large(name: &str, size: u64) -> FromSender<'_> {
    FromSender::File(File { form: Form::Pieces, meta: META, size, offset: 0, name: name.as_bytes(), data: b"" })
}

fn top(path: &str) -> FromSender<'_> {
    FromSender::Top(0, path.as_bytes())
}

fn directory(name: &str) -> FromSender<'_> {
    FromSender::Directory(Meta { mode: 0o755, ..META }, name.as_bytes())
}

const LEAVE: FromSender<'_> = FromSender::Leave;
const WHOLE: FromSender<'_> = FromSender::Whole(None);
const BEGIN: FromSender<'_> = FromSender::Begin(1);
