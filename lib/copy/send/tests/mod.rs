//! The sender against a receiver that writes nothing down but what it heard.

mod changes;
mod files;
mod offered;
mod receivers;
mod trees;

use super::*;
use crate::conn::{Record, bulk_pair};
use crate::proto::copy::{Form, FromReceiver, Way};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that is removed in the end.
pub(super) struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("keywire-send-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and the directories above it.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn select(&self, sources: &[&str]) -> Selection {
        let sources = sources.iter().map(|source| source.as_bytes().to_vec()).collect();
        Selection { place: Place::below(&self.0).unwrap(), sources, globs: true, excludes: Vec::new(), stdin: false }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes of which no two parts are alike.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

fn wishes() -> Request {
    Request { recursive: true, ..Request::new(Way::ToHost) }
}

/// What a receiver answers to a message. It is told how many items there were, and may take them for stored when it likes.
type Answers = Box<dyn FnMut(&FromSender<'_>, u64) -> Vec<FromReceiver<'static>> + Send>;

/// A file as it came.
#[derive(Clone, Debug, Default, PartialEq)]
struct Came {
    form: Option<Form>,
    meta: Meta,
    size: u64,
    offset: u64,
    data: Vec<u8>,
    /// Bytes in holes, which are in the data only if there are few.
    holes: u64,
    hash: Option<[u8; 32]>,
    is_whole: bool,
}

/// What a receiver heard.
#[derive(Debug, Default)]
struct Received {
    /// One line a message.
    log: Vec<String>,
    files: BTreeMap<String, Came>,
    problems: Vec<(String, String)>,
    items: u64,
    at: Vec<String>,
    top: String,
    current: String,
    is_asking: bool,
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Received {
    fn path(&self, name: &[u8]) -> String {
        if name.is_empty() { self.top.clone() } else { format!("{}/{}", self.at.join("/"), shown(name)) }
    }

    fn current(&mut self) -> &mut Came {
        self.files.get_mut(&self.current).expect("a file goes on that has begun")
    }

    fn hear(&mut self, message: &FromSender<'_>) {
        let line = match message {
            FromSender::Begin(tops) => format!("BEGIN {tops}"),
            FromSender::Top(source, path) => {
                self.top = shown(path);
                format!("TOP {source} {}", shown(path))
            }
            FromSender::Directory(_, name) => {
                self.items += u64::from(!self.is_asking);
                let path = self.path(name);
                self.at.push(if name.is_empty() { path } else { shown(name) });
                format!("DIRECTORY {}", shown(name))
            }
            FromSender::Leave => {
                self.at.pop().expect("only what was entered is left");
                "LEAVE".to_owned()
            }
            FromSender::File(file) => {
                self.items += 1;
                self.current = self.path(file.name);
                let came = Came {
                    form: Some(file.form),
                    meta: file.meta,
                    size: file.size,
                    offset: file.offset,
                    data: file.data.to_vec(),
                    is_whole: file.form == Form::Complete,
                    ..Came::default()
                };
                self.files.insert(self.current.clone(), came);
                format!("FILE {} {:?} {} {}", shown(file.name), file.form, file.offset, file.data.len())
            }
            FromSender::Data(data) => {
                self.current().data.extend_from_slice(data);
                "DATA".to_owned()
            }
            FromSender::Hole(length) => {
                let came = self.current();
                came.holes += length;
                if *length < 1 << 26 {
                    came.data.resize(came.data.len() + *length as usize, 0);
                }
                format!("HOLE {length}")
            }
            FromSender::Whole(hash) => {
                let came = self.current();
                came.hash = *hash;
                came.is_whole = true;
                "WHOLE".to_owned()
            }
            FromSender::Abandoned => "ABANDONED".to_owned(),
            FromSender::Link(name, target) => {
                self.items += 1;
                format!("LINK {} {}", shown(name), shown(target))
            }
            FromSender::Problem(path, why) => {
                self.problems.push((shown(path), (*why).to_owned()));
                format!("PROBLEM {} {why}", shown(path))
            }
            FromSender::Ask(size, name) => format!("ASK {size} {}", shown(name)),
            FromSender::Answered => {
                self.is_asking = false;
                "ANSWERED".to_owned()
            }
            FromSender::Total(files, bytes) => format!("TOTAL {files} {bytes}"),
            FromSender::End(items) => {
                assert!(self.at.is_empty(), "all is left");
                format!("END {items}")
            }
        };
        if self.log.last() != Some(&line) || line != "DATA" {
            self.log.push(line);
        }
    }

    fn has(&self, line: &str) -> bool {
        self.log.iter().any(|own| own == line)
    }
}

/// A copy, as it was seen from both ends.
struct Copy {
    outcome: Result<Outcome>,
    events: Vec<String>,
    came: Received,
}

impl Copy {
    fn failed(&self) -> Vec<&String> {
        self.events.iter().filter(|event| event.starts_with("failed")).collect()
    }

    fn names(&self) -> Vec<&String> {
        self.came.files.keys().collect()
    }
}

fn line(event: &Event<'_>) -> String {
    match event {
        Event::Began { path, kind, size } => format!("began {} {kind:?} {size:?}", shown(path)),
        Event::Moved(count) => format!("moved {count}"),
        Event::Stored { path, kind, size } => format!("stored {} {kind:?} {size}", shown(path)),
        Event::Failed { path, why } => format!("failed {}: {why}", shown(path)),
        Event::Kept { path } => format!("kept {}", shown(path)),
        Event::Total { files, bytes } => format!("total {files} {bytes}"),
    }
}

/// Has nothing, settles what has come now and then, and says DONE in the end.
fn polite() -> Answers {
    Box::new(|message, items| match message {
        FromSender::End(_) => vec![FromReceiver::Stored(items), FromReceiver::Done],
        FromSender::Ask(..) => vec![FromReceiver::Have(0, [0; 32])],
        _ if items % 1024 == 1023 => vec![FromReceiver::Stored(items - 1)],
        _ => Vec::new(),
    })
}

fn copy(selection: &Selection, wishes: &Request) -> Copy {
    copy_with(selection, wishes, None, polite(), |_| {})
}

/// Copies to a receiver that gives `answers`, while `watch` watches.
fn copy_with(
    selection: &Selection,
    wishes: &Request,
    stdin: Option<Patient>,
    mut answers: Answers,
    mut watch: impl FnMut(&Event<'_>),
) -> Copy {
    let ((out, reports, _), (mut back, mut incoming, _)) = bulk_pair();
    let is_asking = wishes.resume;
    let receiving = std::thread::spawn(move || {
        let mut came = Received { is_asking, ..Received::default() };
        let mut is_done = false;
        while let Ok(Some(batch)) = incoming.recv() {
            for Record { kind, body } in batch.records() {
                let message = FromSender::decode(&Record { kind, body }).unwrap();
                came.hear(&message);
                assert!(!matches!(message, FromSender::End(items) if items != came.items), "{message:?}");
                for answer in answers(&message, came.items) {
                    is_done |= matches!(answer, FromReceiver::Done | FromReceiver::Hopeless(_));
                    let (kind, body) = answer.encode();
                    // The sender may have had enough.
                    let _ = back.push(kind, &[&body]);
                }
            }
            let _ = back.flush();
        }
        if is_done {
            let _ = back.close();
        }
        came
    });
    let mut events = Vec::new();
    let mut note = |event: Event<'_>| {
        events.push(line(&event));
        watch(&event);
    };
    let outcome = send_from(selection, wishes, stdin, out, reports, &mut note);
    Copy { outcome, events, came: receiving.join().unwrap() }
}
