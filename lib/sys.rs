//! The few system calls that Rust has no safe words for. The only module with `unsafe`.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::Command;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Keeps other processes of this user from reading our memory (`ptrace`, core dumps): it holds secret keys.
/// Programs that we start are not affected.
pub fn protect_memory() {
    // SAFETY: PR_SET_DUMPABLE takes one integer and touches no memory of ours.
    unsafe { nix::libc::prctl(nix::libc::PR_SET_DUMPABLE, 0) };
}

/// Has large buffers, which are for bulk, go back to the system when they are freed. The C library would keep them once it has
/// seen one, in each thread's own store, and a host that runs for months would hold what its busiest minute took.
pub fn give_back_large_buffers() {
    #[cfg(target_env = "gnu")]
    // SAFETY: M_MMAP_THRESHOLD takes one integer, and is set before any other thread runs.
    unsafe {
        nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, 512 << 10);
    }
}

/// Makes `command` the leader of a session and process group of its own, with the terminal on its standard input as
/// controlling terminal if `terminal` is true, with no file of ours open but 0, 1 and 2, and hung up if this process, or the
/// thread that starts it, dies.
pub fn lead_session(command: &mut Command, terminal: bool) {
    use std::os::unix::process::CommandExt;
    let lead = move || -> io::Result<()> {
        // SAFETY: setsid takes no memory.
        check(unsafe { nix::libc::setsid() })?;
        if terminal {
            // SAFETY: TIOCSCTTY takes an integer; 0 is the standard input of the new process.
            check(unsafe { nix::libc::ioctl(0, nix::libc::TIOCSCTTY, 0) })?;
        }
        // The kernel hangs up what has a terminal when its host is killed; this does the same for what has none.
        // SAFETY: PR_SET_PDEATHSIG takes one integer.
        check(unsafe { nix::libc::prctl(nix::libc::PR_SET_PDEATHSIG, nix::libc::SIGHUP) })?;
        // SAFETY: marks descriptors for closing at exec; those that the standard library needs until then stay open.
        // Our own files are marked already, and a system before Linux 5.11 has no such call.
        let _ = unsafe { nix::libc::syscall(nix::libc::SYS_close_range, 3, u32::MAX, nix::libc::CLOSE_RANGE_CLOEXEC) };
        // SAFETY: signal dispositions and the mask are set from constants and an empty set on the stack.
        unsafe {
            let mut none = std::mem::MaybeUninit::uninit();
            check(nix::libc::sigemptyset(none.as_mut_ptr()))?;
            check(nix::libc::sigprocmask(nix::libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()))?;
            for signal in [nix::libc::SIGPIPE, nix::libc::SIGHUP, nix::libc::SIGINT, nix::libc::SIGQUIT] {
                nix::libc::signal(signal, nix::libc::SIG_DFL);
            }
        }
        Ok(())
    };
    // SAFETY: `lead` runs between fork and exec and makes only async-signal-safe calls; it allocates nothing.
    unsafe { command.pre_exec(lead) };
}

fn check(answer: impl Into<i64>) -> io::Result<()> {
    if answer.into() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a TCP connection end with a reset, and not in good order, when its last descriptor is closed.
///
/// # Errors
/// It is no TCP connection.
pub fn reset_when_closed(socket: &impl AsFd) -> io::Result<()> {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let length = nix::libc::socklen_t::try_from(size_of_val(&linger)).map_err(io::Error::other)?;
    // SAFETY: SO_LINGER reads one linger from the memory it is given, and its length is that of one.
    check(unsafe {
        nix::libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            nix::libc::SOL_SOCKET,
            nix::libc::SO_LINGER,
            (&raw const linger).cast(),
            length,
        )
    })
}

/// Whether this process was started with `signal` ignored, as nohup(1) does.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let mut found = std::mem::MaybeUninit::<nix::libc::sigaction>::zeroed();
    // SAFETY: without a new action sigaction only writes the present one into the memory it is given, which zeros would
    // also be a value of.
    unsafe {
        nix::libc::sigaction(signal, std::ptr::null(), found.as_mut_ptr()) == 0
            && found.assume_init().sa_sigaction == nix::libc::SIG_IGN
    }
}

/// Bytes that can be read from `fd` now.
///
/// # Errors
/// It is nothing that can tell.
pub fn readable_now(fd: &impl AsFd) -> io::Result<u32> {
    let mut count: nix::libc::c_int = 0;
    // SAFETY: FIONREAD writes one int into the memory it is given.
    check(unsafe { nix::libc::ioctl(fd.as_fd().as_raw_fd(), nix::libc::FIONREAD, &raw mut count) })?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// Rows and columns of the terminal on `fd`.
///
/// # Errors
/// It is no terminal.
pub fn window_size(fd: &impl AsFd) -> io::Result<(u16, u16)> {
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize into the memory it is given.
    check(unsafe { nix::libc::ioctl(fd.as_fd().as_raw_fd(), nix::libc::TIOCGWINSZ, &raw mut size) })?;
    Ok((size.ws_row, size.ws_col))
}

/// What ends the process that [`guard_terminal`] left watching.
#[derive(Debug)]
pub struct TerminalGuard {
    alive: io::PipeWriter,
    guard: nix::unistd::Pid,
}

/// Leaves a child process behind that restores the terminal on `terminal` to what it is now if this process dies without
/// saying [`TerminalGuard::dismiss`]: even SIGKILL then leaves the terminal as it was. Call it before any thread starts.
///
/// # Errors
/// When the terminal cannot be read, or no process can be made.
pub fn guard_terminal(terminal: &impl AsFd) -> io::Result<TerminalGuard> {
    use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
    let saved = tcgetattr(terminal)?;
    let (mut dies, alive) = io::pipe()?;
    // SAFETY: no other thread runs yet, so the child may do what the parent may.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => Ok(TerminalGuard { alive, guard: child }),
        nix::unistd::ForkResult::Child => {
            drop(alive);
            // SAFETY: ignoring signals touches no memory. SIGTTOU: we may no longer be in the foreground when we restore.
            unsafe {
                use nix::libc::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTOU};
                for signal in [SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTOU] {
                    nix::libc::signal(signal, nix::libc::SIG_IGN);
                }
            }
            let mut word = [0];
            if matches!(io::Read::read(&mut dies, &mut word), Ok(0)) {
                let _ = tcsetattr(terminal, SetArg::TCSAFLUSH, &saved);
            }
            // SAFETY: ends this process at once, without running the parent's exit handlers a second time.
            unsafe { nix::libc::_exit(0) }
        }
    }
}

impl TerminalGuard {
    /// Tells the guard that the terminal is restored, and waits for it to end.
    pub fn dismiss(mut self) {
        let _ = io::Write::write_all(&mut self.alive, b"k");
        let _ = nix::sys::wait::waitpid(self.guard, None);
    }
}

/// The addresses of this machine that others may be able to dial: neither those of the loopback nor those of a single link.
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let addresses = interfaces.filter_map(|interface| interface.address).filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|at| IpAddr::from(at.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|at| IpAddr::from(at.ip())))
    });
    let is_far = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    addresses.filter(is_far).collect()
}

/// Which of two processes this is, after [`fork_to_background`].
#[derive(Debug)]
pub enum Forked {
    /// The one that was started; the other has gone to the background, or has ended with this status.
    Foreground(u8),
    /// The one that does the work.
    Background(Background),
}

/// What takes this process to the background, once it is ready for it.
#[derive(Debug)]
pub struct Background {
    word: io::PipeWriter,
}

/// Makes a child that goes on in place of this process, which waits until the child says [`Background::go`] or ends. Call it
/// before any thread starts.
///
/// # Errors
/// When no process can be made.
pub fn fork_to_background() -> io::Result<Forked> {
    let (mut heard, word) = io::pipe()?;
    // SAFETY: no other thread runs yet, so the child may do what the parent may.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => Ok(Forked::Background(Background { word })),
        nix::unistd::ForkResult::Parent { child } => {
            drop(word);
            if io::Read::read_exact(&mut heard, &mut [0]).is_ok() {
                return Ok(Forked::Foreground(0));
            }
            let status = match nix::sys::wait::waitpid(child, None)? {
                nix::sys::wait::WaitStatus::Exited(_, status) => u8::try_from(status).unwrap_or(u8::MAX),
                _ => u8::MAX,
            };
            Ok(Forked::Foreground(status))
        }
    }
}

impl Background {
    /// Leaves the terminal and standard input behind, and lets the process in the foreground end well.
    ///
    /// # Errors
    /// The process in the foreground is gone: nobody wants this any more.
    pub fn go(mut self) -> io::Result<()> {
        nix::unistd::setsid()?;
        let nothing = std::fs::File::open("/dev/null")?;
        nix::unistd::dup2(nothing.as_raw_fd(), 0)?;
        io::Write::write_all(&mut self.word, b"g")
    }
}

/// Most bytes in one read: what one record can carry.
const ROOM_LEN: usize = 65_518;

/// Another descriptor for what `fd` refers to, closed at exec.
///
/// # Errors
/// `fd` is not open, or there are no more descriptors.
pub fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    let copy = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: the copy was made in the line above, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A descriptor that can be waited for, such as the master side of a terminal.
#[derive(Debug)]
pub struct AsyncFile {
    fd: AsyncFd<OwnedFd>,
    /// Whether it is a socket that waits unless each call says that it must not.
    waits: bool,
}

impl AsyncFile {
    /// Takes `fd` and makes it non-blocking. Needs a running tokio runtime.
    ///
    /// # Errors
    /// A descriptor that cannot be waited for, such as a regular file.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        let flags = OFlag::from_bits_retain(fcntl(fd.as_raw_fd(), FcntlArg::F_GETFL)?);
        fcntl(fd.as_raw_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Self::register(fd, false)
    }

    /// Takes a socket that others use too, and leaves its mode, which is theirs as well, as it is. Needs a running tokio
    /// runtime.
    ///
    /// # Errors
    /// There are no more descriptors to wait for.
    pub fn shared_socket(fd: OwnedFd) -> io::Result<Self> {
        Self::register(fd, true)
    }

    fn register(fd: OwnedFd, waits: bool) -> io::Result<Self> {
        // SAFETY: the AsyncFd owns the descriptor, so it stays open for as long as it is registered.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(AsyncFile { fd, waits })
    }

    /// Waits until there may be something to read, or the end.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.fd.readable().await.map(drop)
    }

    /// Reads at most `most` bytes that are there and hands them to `take`; no bytes are the end. While nothing is there it
    /// holds no memory, so that a thousand idle sessions cost nothing.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, and those of read(2).
    pub fn try_read<R>(&self, most: usize, take: impl FnOnce(&[u8]) -> R) -> io::Result<R> {
        thread_local! {
            static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; ROOM_LEN]);
        }
        ROOM.with_borrow_mut(|room| {
            let room = room.get_mut(..most.min(ROOM_LEN)).unwrap_or_default();
            let count = self.fd.try_io(Interest::READABLE, |fd| match self.waits {
                false => Ok(nix::unistd::read(fd.as_raw_fd(), room)?),
                true => receive_now(fd, room),
            })?;
            Ok(take(room.get(..count).unwrap_or_default()))
        })
    }

    /// Waits until something may fit.
    ///
    /// # Errors
    /// The runtime is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.fd.writable().await.map(drop)
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits, and those of write(2).
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.fd.try_io(Interest::WRITABLE, |fd| match self.waits {
            false => Ok(nix::unistd::write(fd, bytes)?),
            true => send_now(fd, bytes),
        })
    }
}

/// Reads what has come on a socket, without waiting.
fn receive_now(socket: &OwnedFd, room: &mut [u8]) -> io::Result<usize> {
    let flags = nix::libc::MSG_DONTWAIT;
    // SAFETY: recv writes into the room it is given, and at most its length.
    let count = unsafe { nix::libc::recv(socket.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Writes what fits into a socket, without waiting.
fn send_now(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = nix::libc::MSG_DONTWAIT | nix::libc::MSG_NOSIGNAL;
    // SAFETY: send reads the bytes it is given, and at most their length.
    let count = unsafe { nix::libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

impl AsFd for AsyncFile {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}
