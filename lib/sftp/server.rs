//! What each request does.

use super::handles::{Handle, Handles, Open};
use super::owners::Owners;
use super::packet::INIT;
use super::reply::{Code, Failure, Replies};
use super::{Attributes, Input, OpenFlags, Request, Rights, broken};
use crate::error::{Error, Result, reason};
use crate::patient::Patient;
use crate::root::{Access, FileSystem, Links, Listing, Node, RelPath, Root, Status};
use nix::unistd::{Uid, User};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that one step of a copy on the host moves.
const COPY_STEP: usize = 256 << 10;

/// Most users, and most groups, whose names are told at once: names of any sensible length still fit into one reply.
const MAX_NAMES: usize = 256;

/// What is sent for a request that went well.
enum Answer<'a> {
    Done,
    Handle(Handle),
    /// A piece of a file, from this byte on, at most so long.
    Data(&'a File, u64, u32),
    Names(&'a mut Listing, &'a mut Owners),
    Attributes(Status),
    Path(RelPath),
    Text(Vec<u8>),
    FileSystem(FileSystem),
    Owners(Vec<String>, Vec<String>),
    Limits,
}

type Outcome<T> = std::result::Result<T, Failure>;

/// The server of one client.
#[derive(Debug)]
pub struct Server {
    root: Root,
    /// Where relative paths begin.
    start: RelPath,
    home: RelPath,
    rights: Rights,
    handles: Handles,
    owners: Owners,
    has_begun: bool,
}

impl Server {
    /// A server of everything that this process can reach, from its working directory on; or of what is below `jail`
    /// alone, which then looks like all there is.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn new(jail: Option<&Path>, rights: Rights) -> Result<Self> {
        let top = jail.unwrap_or(Path::new("/"));
        let failed = |cause| Error::file("serve", top, &cause);
        let root = Root::open(top, Links::Followed).map_err(failed)?;
        let (handles, owners, has_begun) = (Handles::default(), Owners::new(jail.is_none()), false);
        if jail.is_some() {
            return Ok(Server {
                root,
                start: RelPath::top(),
                home: RelPath::top(),
                rights,
                handles,
                owners,
                has_begun,
            });
        }
        let start = std::env::current_dir().unwrap_or_else(|_| top.to_owned());
        let home = std::env::home_dir().unwrap_or_else(|| start.clone());
        let [start, home] = [start, home].map(|path| RelPath::top().join(path.as_os_str().as_bytes()));
        Ok(Server {
            root,
            start: start.map_err(failed)?,
            home: home.map_err(failed)?,
            rights,
            handles,
            owners,
            has_begun,
        })
    }

    /// Serves the client on standard input and output until it ends its requests.
    ///
    /// # Errors
    /// Those of [`Server::serve`], and no such streams.
    pub fn serve_standard_streams(self) -> Result<()> {
        let failed = |cause| Error::state(format!("sftp: no standard input and output: {}", reason(&cause)));
        let input = Patient::of(&std::io::stdin()).map_err(failed)?;
        let output = Patient::of(&std::io::stdout()).map_err(failed)?;
        self.serve(input, output)
    }

    /// Serves the client whose requests come from `input` until it ends them.
    ///
    /// # Errors
    /// A client that breaks the protocol, and a stream that fails.
    pub fn serve(mut self, input: impl Read, output: impl Write) -> Result<()> {
        let mut input = Input::new(input);
        let mut replies = Replies::new(output);
        loop {
            while let Some(packet) = input.packet()? {
                self.answer(packet, &mut replies)?;
            }
            // The client waits for these before it says more.
            replies.flush()?;
            if !input.fill()? {
                return Ok(());
            }
        }
    }

    /// Answers one packet.
    fn answer(&mut self, packet: &[u8], out: &mut Replies<impl Write>) -> Result<()> {
        let is_init = packet.first() == Some(&INIT);
        if is_init == self.has_begun {
            return Err(broken("INIT is the first packet, and no other is"));
        }
        if is_init {
            if packet.len() < 5 {
                return Err(broken("an INIT without a version"));
            }
            self.has_begun = true;
            return out.version();
        }
        let (id, request) = Request::decode(packet).map_err(|_| broken("a request ends in the middle of a field"))?;
        match self.perform(request) {
            Ok(Answer::Done) => out.status(id, Code::Ok, "done"),
            Ok(Answer::Handle(handle)) => out.handle(id, handle),
            Ok(Answer::Data(file, offset, length)) => out.data(id, length, |room| file.read_at(room, offset)),
            Ok(Answer::Names(listing, owners)) => out.names(id, listing, owners),
            Ok(Answer::Owners(users, groups)) => out.owners(id, &users, &groups),
            Ok(Answer::Attributes(status)) => out.attributes(id, &status),
            Ok(Answer::Path(path)) => out.name(id, &[b"/", path.as_bytes()].concat()),
            Ok(Answer::Text(text)) => out.name(id, &text),
            Ok(Answer::FileSystem(is)) => out.file_system(id, &is),
            Ok(Answer::Limits) => out.limits(id),
            Err(why) => out.failure(id, &why),
        }
    }

    fn perform(&mut self, request: Request<'_>) -> Outcome<Answer<'_>> {
        let root = &self.root;
        Ok(match request {
            Request::Open { path, flags, attributes } => Answer::Handle(self.open(path, flags, attributes)?),
            Request::Opendir(path) => Answer::Handle(self.open_directory(path)?),
            Request::Close(handle) => {
                self.handles.close(handle)?;
                Answer::Done
            }
            Request::Read(handle, offset, length) => Answer::Data(self.handles.file(handle)?, offset, length),
            Request::Readdir(handle) => {
                self.may_read()?;
                Answer::Names(self.handles.listing(handle)?, &mut self.owners)
            }
            Request::Readlink(path) => {
                self.may_read()?;
                Answer::Text(root.read_link(&self.at(path)?)?)
            }
            Request::Stat(path) => Answer::Attributes(root.node(&self.at(path)?)?.status()?),
            Request::Lstat(path) => Answer::Attributes(root.link_itself(&self.at(path)?)?.status()?),
            Request::Fstat(handle) => Answer::Attributes(Node::new(self.handles.any(handle)?).status()?),
            Request::Statvfs(path) => Answer::FileSystem(root.node(&self.at(path)?)?.file_system()?),
            Request::Fstatvfs(handle) => Answer::FileSystem(Node::new(self.handles.any(handle)?).file_system()?),
            Request::Realpath(path) => Answer::Path(root.real_path(&self.start.join(path)?)?),
            Request::ExpandPath(path) => Answer::Path(root.real_path(&self.expand(path)?)?),
            Request::HomeDirectory(user) => Answer::Path(self.home(user)?.clone()),
            Request::Limits => Answer::Limits,
            Request::Fsync(handle) => {
                self.handles.file(handle)?.sync_all()?;
                Answer::Done
            }
            Request::Names(users, groups) => {
                let (users, groups) = (numbers(users)?, numbers(groups)?);
                let owners = &mut self.owners;
                Answer::Owners(
                    users.into_iter().map(|id| owners.user(id).to_owned()).collect(),
                    groups.into_iter().map(|id| owners.group(id).to_owned()).collect(),
                )
            }
            Request::Unknown => return Err(Failure::new(Code::Unsupported, "there is no such request here")),
            changing => {
                self.may_write()?;
                self.change(changing)?;
                Answer::Done
            }
        })
    }

    /// Does what changes something.
    fn change(&mut self, request: Request<'_>) -> Outcome<()> {
        let root = &self.root;
        match request {
            Request::Write(handle, offset, data) => self.handles.file(handle)?.write_all_at(data, offset)?,
            Request::Remove(path) => root.remove_file(&self.at(path)?)?,
            Request::Mkdir(path, set) => root.make_directory(&self.at(path)?, set.permissions.unwrap_or(0o777))?,
            Request::Rmdir(path) => root.remove_directory(&self.at(path)?)?,
            Request::Rename(from, to) => root.rename(&self.at(from)?, &self.at(to)?)?,
            Request::PosixRename(from, to) => root.replace(&self.at(from)?, &self.at(to)?)?,
            Request::Hardlink(from, to) => root.hard_link(&self.at(from)?, &self.at(to)?)?,
            Request::Symlink(target, path) => root.symbolic_link(target, &self.at(path)?)?,
            Request::Setstat(path, set) => {
                let path = self.at(path)?;
                let resized =
                    set.size.map(|size| root.file(&path, Access { write: true, ..Access::default() })?.set_len(size));
                settle(resized, &root.node(&path)?, &set)?;
            }
            Request::Fsetstat(handle, set) => {
                let resized = match set.size {
                    Some(size) => Some(self.handles.file(handle)?.set_len(size)),
                    None => None,
                };
                settle(resized, &Node::new(self.handles.any(handle)?), &set)?;
            }
            // A link has no size to set.
            Request::Lsetstat(path, set) => settle(None, &root.link_itself(&self.at(path)?)?, &set)?,
            Request::CopyData { from, length, to } => self.copy(from, length, to)?,
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, path: &[u8], flags: OpenFlags, attributes: Attributes) -> Outcome<Handle> {
        let writes = flags.has(OpenFlags::WRITE | OpenFlags::APPEND);
        let access = Access {
            read: flags.has(OpenFlags::READ) || !writes,
            write: writes,
            append: flags.has(OpenFlags::APPEND),
            truncate: flags.has(OpenFlags::TRUNCATE),
            create: flags.has(OpenFlags::CREATE).then(|| attributes.permissions.unwrap_or(0o666)),
            new: flags.has(OpenFlags::EXCLUSIVE),
        };
        if access.read {
            self.may_read()?;
        }
        if access.write || access.truncate || access.create.is_some() {
            self.may_write()?;
        }
        self.handles.check_room()?;
        let file = self.root.file(&self.at(path)?, access)?;
        self.handles.insert(Open::File(file))
    }

    fn open_directory(&mut self, path: &[u8]) -> Outcome<Handle> {
        self.handles.check_room()?;
        let listing = self.root.directory(&self.at(path)?)?;
        self.handles.insert(Open::Directory(listing))
    }

    /// Copies a piece of one open file into another.
    fn copy(&self, from: (&[u8], u64), length: u64, to: (&[u8], u64)) -> Outcome<()> {
        let (source, target) = (self.handles.file(from.0)?, self.handles.file(to.0)?);
        if Status::of(source)?.is_same(&Status::of(target)?) {
            // It would read what it has just written, without an end.
            return Err(Failure::because("a file cannot be copied into itself"));
        }
        let mut step = vec![0; COPY_STEP];
        let mut done = 0;
        let mut left = if length == 0 { u64::MAX } else { length };
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_STEP);
            let too_far = || Failure::because("the copy would end beyond what a file can hold");
            let count = source
                .read_at(step.get_mut(..most).unwrap_or_default(), from.1.checked_add(done).ok_or_else(too_far)?)?;
            let read = step.get(..count).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            target.write_all_at(read, to.1.checked_add(done).ok_or_else(too_far)?)?;
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            done += count;
            left = left.saturating_sub(count);
        }
        Ok(())
    }

    /// The path that a client means.
    fn at(&self, path: &[u8]) -> Outcome<RelPath> {
        if path.is_empty() {
            return Err(Failure::new(Code::NoSuchFile, "the path is empty"));
        }
        Ok(self.start.join(path)?)
    }

    /// The path that a client means, who may write `~` for the home directory.
    fn expand(&self, path: &[u8]) -> Outcome<RelPath> {
        let Some(behind) = path.strip_prefix(b"~") else { return Ok(self.start.join(path)?) };
        let (user, rest) = match behind.iter().position(|byte| *byte == b'/') {
            Some(slash) => behind.split_at_checked(slash).unwrap_or_default(),
            None => (behind, &b""[..]),
        };
        Ok(self.home(user)?.join(rest.strip_prefix(b"/").unwrap_or(rest))?)
    }

    fn home(&self, user: &[u8]) -> Outcome<&RelPath> {
        // Who we are may have to be asked over a network, and hardly any client wants to know.
        let is_own = || User::from_uid(Uid::effective()).ok().flatten().is_some_and(|own| own.name.as_bytes() == user);
        if user.is_empty() || is_own() {
            return Ok(&self.home);
        }
        Err(Failure::new(Code::NoSuchFile, "no other user's home directory is known here"))
    }

    fn may_read(&self) -> Outcome<()> {
        match self.rights.read {
            true => Ok(()),
            false => Err(Failure::new(Code::PermissionDenied, "this key may not read files here (right copy-read)")),
        }
    }

    fn may_write(&self) -> Outcome<()> {
        match self.rights.write {
            true => Ok(()),
            false => Err(Failure::new(Code::PermissionDenied, "this key may not change files here (right copy-write)")),
        }
    }
}

/// A row of numbers.
fn numbers(row: &[u8]) -> Outcome<Vec<u32>> {
    let (numbers, rest) = row.as_chunks::<4>();
    match rest.is_empty() && numbers.len() <= MAX_NAMES {
        true => Ok(numbers.iter().map(|number| u32::from_be_bytes(*number)).collect()),
        false => {
            Err(Failure::new(Code::BadMessage, format!("at most {MAX_NAMES} numbers of four bytes may stand there")))
        }
    }
}

/// Sets what is to be set, and all that can be; then says what could not be first.
fn settle(resized: Option<std::io::Result<()>>, node: &Node<impl AsFd>, set: &Attributes) -> Outcome<()> {
    let moded = set.permissions.map(|mode| node.set_mode(mode));
    let timed = set.times.map(|(accessed, modified)| node.set_times(accessed, modified));
    let owned = set.owner.map(|(owner, group)| node.set_owner(owner, group));
    Ok([resized, moded, timed, owned].into_iter().flatten().collect::<std::io::Result<()>>()?)
}
