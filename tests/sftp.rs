//! The SFTP server, packet by packet with a client of the test's own, and with the programs that people use.

mod files;
mod jail;
mod names;
mod programs;
mod rights;
mod streams;

use crate::sandbox::{Dir, binary};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub const READ: u32 = 0x01;
pub const WRITE: u32 = 0x02;
pub const APPEND: u32 = 0x04;
pub const CREATE: u32 = 0x08;
pub const TRUNCATE: u32 = 0x10;
pub const EXCLUSIVE: u32 = 0x20;

pub const OK: u32 = 0;
pub const EOF: u32 = 1;
pub const NO_SUCH_FILE: u32 = 2;
pub const PERMISSION_DENIED: u32 = 3;
pub const FAILURE: u32 = 4;
pub const BAD_MESSAGE: u32 = 5;
pub const UNSUPPORTED: u32 = 8;

/// What a client asks.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Ask {
    Open = 3,
    Close,
    Read,
    Write,
    Lstat,
    Fstat,
    Setstat,
    Fsetstat,
    Opendir,
    Readdir,
    Remove,
    Mkdir,
    Rmdir,
    Realpath,
    Stat,
    Rename,
    Readlink,
    Symlink,
    Extended = 200,
}

/// The attributes in a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attributes {
    pub size: u64,
    pub owner: u32,
    pub mode: u32,
    pub accessed: u32,
    pub modified: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(u32, String),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    /// Name, long name, attributes.
    Names(Vec<(Vec<u8>, String, Attributes)>),
    Attributes(Attributes),
    Extended(Vec<u8>),
}

impl Reply {
    /// Its code, if it is a status.
    #[track_caller]
    pub fn code(&self) -> u32 {
        match self {
            Reply::Status(code, _) => *code,
            other => panic!("no status: {other:?}"),
        }
    }

    #[track_caller]
    pub fn ok(&self) {
        assert_eq!(self.code(), OK, "{self:?}");
    }

    /// Checks that it went wrong, and that the text says why.
    #[track_caller]
    pub fn fails(&self, code: u32, why: &str) {
        assert_eq!(self.code(), code, "{self:?}");
        assert!(matches!(self, Reply::Status(_, text) if text.contains(why)), "{why:?} is not in {self:?}");
    }

    #[track_caller]
    pub fn handle(self) -> Vec<u8> {
        match self {
            Reply::Handle(handle) => handle,
            other => panic!("no handle: {other:?}"),
        }
    }

    #[track_caller]
    pub fn attributes(self) -> Attributes {
        match self {
            Reply::Attributes(attributes) => attributes,
            other => panic!("no attributes: {other:?}"),
        }
    }

    /// The only name.
    #[track_caller]
    pub fn name(self) -> Vec<u8> {
        match self {
            Reply::Names(names) if names.len() == 1 => names[0].0.clone(),
            other => panic!("not one name: {other:?}"),
        }
    }
}

/// A string as it stands in a packet.
pub fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// A path as it stands in a packet.
pub fn path(path: impl AsRef<Path>) -> Vec<u8> {
    string(path.as_ref().as_os_str().as_bytes())
}

/// No attributes.
pub const NONE: [u8; 4] = [0; 4];

/// Permissions alone.
pub fn mode(mode: u32) -> Vec<u8> {
    [4_u32.to_be_bytes(), mode.to_be_bytes()].concat()
}

/// A packet with its length.
pub fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len() + 1).unwrap().to_be_bytes()[..], &[kind], body].concat()
}

/// A packet's fields, read by a client.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (field, rest) = self.0.split_at(count);
        self.0 = rest;
        field
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn string(&mut self) -> &'a [u8] {
        let length = self.u32();
        self.take(length as usize)
    }

    fn attributes(&mut self) -> Attributes {
        match self.u32() {
            0 => Attributes::default(),
            0x0f => {
                let size = u64::from_be_bytes(self.take(8).try_into().unwrap());
                let [owner, _, mode, accessed, modified] = [(); 5].map(|()| self.u32());
                Attributes { size, owner, mode, accessed, modified }
            }
            other => panic!("attributes {other:#x}"),
        }
    }
}

/// A client and its server.
pub struct Client {
    pub server: Child,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    id: u32,
}

impl Client {
    /// A client that sees everything, from `dir` on.
    pub fn at(dir: &Dir) -> Self {
        Client::of(server().current_dir(dir.path()))
    }

    /// A client that sees nothing but `dir`.
    pub fn within(dir: &Path, options: &[&str]) -> Self {
        Client::of(server().arg("--root").arg(dir).args(options))
    }

    /// The client of a server that `command` starts, past the first packet.
    pub fn of(command: &mut Command) -> Self {
        let mut client = Client::silent(command);
        client.send(&packet(1, &3_u32.to_be_bytes()));
        let (kind, body) = client.packet();
        assert_eq!((kind, &body[..4]), (2, &3_u32.to_be_bytes()[..]));
        client
    }

    /// A client that has not said anything yet.
    pub fn silent(command: &mut Command) -> Self {
        let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (server.stdin.take(), server.stdout.take());
        Client { server, input, output, id: 7 }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The next packet: its type and body.
    pub fn packet(&mut self) -> (u8, Vec<u8>) {
        let mut length = [0; 4];
        let output = self.output.as_mut().unwrap();
        output.read_exact(&mut length).unwrap();
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        output.read_exact(&mut packet).unwrap();
        (packet[0], packet[1..].to_vec())
    }

    /// Sends a request and does not wait; returns its number.
    pub fn send_request(&mut self, kind: u8, parts: &[&[u8]]) -> u32 {
        self.id += 1;
        let body = [&self.id.to_be_bytes()[..], &parts.concat()].concat();
        self.send(&packet(kind, &body));
        self.id
    }

    /// The reply to the request `id`.
    #[track_caller]
    pub fn reply(&mut self, id: u32) -> Reply {
        let (kind, body) = self.packet();
        let mut body = Body(&body);
        assert_eq!(body.u32(), id);
        let reply = match kind {
            101 => {
                let reply = Reply::Status(body.u32(), String::from_utf8(body.string().to_vec()).unwrap());
                body.string();
                reply
            }
            102 => Reply::Handle(body.string().to_vec()),
            103 => Reply::Data(body.string().to_vec()),
            104 => Reply::Names(
                (0..body.u32())
                    .map(|_| {
                        let name = body.string().to_vec();
                        (name, String::from_utf8(body.string().to_vec()).unwrap(), body.attributes())
                    })
                    .collect(),
            ),
            105 => Reply::Attributes(body.attributes()),
            201 => return Reply::Extended(body.0.to_vec()),
            other => panic!("a reply of type {other}"),
        };
        assert_eq!(body.0, b"", "after {reply:?}");
        reply
    }

    #[track_caller]
    pub fn ask(&mut self, ask: Ask, parts: &[&[u8]]) -> Reply {
        let id = self.send_request(ask as u8, parts);
        self.reply(id)
    }

    /// An extended request.
    #[track_caller]
    pub fn extended(&mut self, name: &str, parts: &[&[u8]]) -> Reply {
        self.ask(Ask::Extended, &[&string(name), &parts.concat()])
    }

    #[track_caller]
    pub fn open(&mut self, name: impl AsRef<[u8]>, flags: u32) -> Reply {
        self.ask(Ask::Open, &[&string(name), &flags.to_be_bytes(), &NONE])
    }

    #[track_caller]
    pub fn read(&mut self, handle: &[u8], offset: u64, length: u32) -> Reply {
        self.ask(Ask::Read, &[&string(handle), &offset.to_be_bytes(), &length.to_be_bytes()])
    }

    #[track_caller]
    pub fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> Reply {
        self.ask(Ask::Write, &[&string(handle), &offset.to_be_bytes(), &string(data)])
    }

    #[track_caller]
    pub fn close(&mut self, handle: &[u8]) -> Reply {
        self.ask(Ask::Close, &[&string(handle)])
    }

    /// Asks with a path and nothing else.
    #[track_caller]
    pub fn about(&mut self, ask: Ask, name: impl AsRef<[u8]>) -> Reply {
        self.ask(ask, &[&string(name)])
    }

    /// Asks with two paths.
    #[track_caller]
    pub fn both(&mut self, ask: Ask, one: impl AsRef<[u8]>, two: impl AsRef<[u8]>) -> Reply {
        self.ask(ask, &[&string(one), &string(two)])
    }

    /// All of a file, or the reply that refuses it.
    pub fn contents(&mut self, name: impl AsRef<[u8]>) -> Result<Vec<u8>, Reply> {
        let handle = match self.open(name, READ) {
            Reply::Handle(handle) => handle,
            refused => return Err(refused),
        };
        let mut contents = Vec::new();
        while let Reply::Data(data) = self.read(&handle, contents.len() as u64, 255 << 10) {
            contents.extend(data);
        }
        self.close(&handle).ok();
        Ok(contents)
    }

    /// Makes a file.
    #[track_caller]
    pub fn make(&mut self, name: impl AsRef<[u8]>, contents: &[u8]) {
        let handle = self.open(name, WRITE | CREATE | TRUNCATE).handle();
        for (at, piece) in contents.chunks(255 << 10).enumerate() {
            self.write(&handle, (at * (255 << 10)) as u64, piece).ok();
        }
        self.close(&handle).ok();
    }

    /// Everything in a directory, with `.` and `..`, by name.
    pub fn list(&mut self, name: impl AsRef<[u8]>) -> Vec<(Vec<u8>, String, Attributes)> {
        let handle = self.about(Ask::Opendir, name).handle();
        let mut all = Vec::new();
        loop {
            match self.ask(Ask::Readdir, &[&string(&handle)]) {
                Reply::Names(names) => all.extend(names),
                end => {
                    assert_eq!(end.code(), EOF);
                    break;
                }
            }
        }
        self.close(&handle).ok();
        all.sort();
        all
    }

    /// Says no more, and how the server ended.
    pub fn finish(mut self) -> std::process::ExitStatus {
        drop(self.input.take());
        self.server.wait().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The server, ready to be given more options.
pub fn server() -> Command {
    let mut command = Command::new(binary("kw-ptyd"));
    command.arg("--sftp-server");
    command
}
