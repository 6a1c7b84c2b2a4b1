//! The command line of kw-pty in use: what the host is asked for, and what is seen here. How a line is read is tested where
//! it is read, in bins/pty.

use super::Pair;
use crate::peer::{PATIENCE, Peer, read_frame};
use crate::sandbox::{Done, Running, User, binary};
use keywire::conn::Record;
use keywire::frame::frame;
use keywire::key::KeyPair;
use keywire::noise::{PREFACE_LEN, Preface, Responder};
use keywire::proto::pty::{FromDialer, FromHost, Op, Request};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// A host that says what a test wants.
struct Host {
    listener: TcpListener,
    keys: KeyPair,
}

impl Host {
    fn new() -> Self {
        Host { listener: TcpListener::bind("127.0.0.1:0").unwrap(), keys: KeyPair::generate().unwrap() }
    }

    fn address(&self) -> String {
        format!("{}@{}", self.keys.public(), self.listener.local_addr().unwrap())
    }

    /// Lets one dialer in, and says what it asks for.
    fn accept(&self) -> (Request, Peer) {
        let mut socket = self.listener.accept().unwrap().0;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut preface = [0; PREFACE_LEN];
        socket.read_exact(&mut preface).unwrap();
        let i1 = read_frame(&mut socket).unwrap();
        let (responder, i2) = Responder::start(&self.keys, Preface::from_bytes(preface).unwrap(), "pty", &i1).unwrap();
        socket.write_all(&frame(&i2).unwrap()).unwrap();
        let i3 = read_frame(&mut socket).unwrap();
        let accepted = responder.read_i3(&i3).unwrap();
        let keys = accepted.transport;
        let peer = Peer { socket, sealer: keys.sealer, opener: keys.opener, binding: keys.channel_binding };
        (Request::decode(&accepted.request).unwrap(), peer)
    }
}

/// Tells the dialer how its command ended, and closes.
fn end(mut peer: Peer, status: u8) {
    let (kind, body) = FromHost::Exit(keywire::proto::pty::Exit::Status(status)).encode();
    peer.send(kind, &body);
    peer.close(u64::try_from(body.len()).unwrap());
}

fn start(user: &User, words: &[&str]) -> Running {
    Running::start(user.command("kw-pty").args(words).stderr(Stdio::null()))
}

#[test]
fn a_subsystem_is_asked_for_by_its_name_and_without_a_terminal() {
    let (host, guest) = (Host::new(), User::with_key());
    let address = host.address();
    for words in [["-s", "--", &address, "sftp"], ["-s", "-tt", &address, "sftp"], [&address, "-v", "-s", "sftp"]] {
        let mut client = start(&guest, &words);
        let (request, peer) = host.accept();
        assert_eq!((request.op, request.command.as_deref()), (Op::Subsystem, Some("sftp")), "{words:?}");
        assert!(request.tty.is_none());
        end(peer, 7);
        assert_eq!(client.child.wait().unwrap().code(), Some(7));
    }
}

#[test]
fn nothing_is_run_and_nothing_read_until_the_client_is_ended() {
    let (host, guest) = (Host::new(), User::with_key());
    let mut client = start(&guest, &["-N", &host.address()]);
    let (request, mut peer) = host.accept();
    assert_eq!((request.op, request.command, request.tty), (Op::None, None, None));
    client.stdin().write_all(b"not for the host").unwrap();
    let (kind, body) = peer.recv().unwrap();
    assert_eq!(FromDialer::decode(&Record { kind, body: &body }).unwrap(), FromDialer::Eof);
    client.signal(Signal::SIGTERM);
    let (kind, _) = peer.recv().unwrap();
    assert_eq!(kind, keywire::conn::kind::CLOSE);
    drop(peer);
    assert_eq!(client.child.wait().unwrap().code(), Some(255));
}

#[test]
fn variables_that_are_set_stand_beside_ones_own() {
    let (host, guest) = (Host::new(), User::with_key());
    let mut command = guest.command("kw-pty");
    command.args(["-tt", "-o", "SetEnv=LANG=eo A=\"x y\" TERM=vt52", &host.address(), "true"]);
    let mut client = Running::start(command.env("LANG", "C").env("LC_TIME", "C").env("TERM", "xterm"));
    let (request, peer) = host.accept();
    let value = |name: &str| request.env.get(name).map(String::as_str);
    assert_eq!([value("LANG"), value("LC_TIME"), value("A")], [Some("eo"), Some("C"), Some("x y")]);
    assert_eq!(request.tty.unwrap().term, "vt52");
    end(peer, 0);
    client.child.wait().unwrap();
}

#[test]
fn the_host_takes_variables_that_are_set_only_if_it_takes_their_names() {
    let pair = Pair::new();
    let done = pair.guest.run("kw-pty", ["-oSetEnv=LANG=eo SECRET=x", &pair.address, "echo \"$LANG-$SECRET\""]);
    assert_eq!(done.succeeds().stdout, "eo-\n");
}

#[test]
fn options_behind_the_host_count_and_behind_the_command_they_do_not() {
    let pair = Pair::new();
    let (key, at) = pair.address.split_once('@').unwrap();
    let (host, port) = at.rsplit_once(':').unwrap();
    let done = pair.guest.run("kw-pty", [host, "-p", port, "-l", key, "-T", "echo", "-p", "1"]);
    assert_eq!(done.succeeds().stdout, "-p 1\n");
    let uri = format!("ssh://{key}@{host}:{port}");
    assert_eq!(pair.guest.run("kw-pty", ["-p", port, &uri, "--", "echo", "hi"]).succeeds().stdout, "hi\n");
}

#[test]
fn a_command_in_the_background_leaves_its_caller_and_its_output_still_comes() {
    let pair = Pair::new();
    let go = pair.host.file("go");
    let command = format!("until [ -e {} ]; do sleep 0.01; done; cat; echo late", go.display());
    let mut client = pair.start(&["-f"], &command);
    assert_eq!(client.child.wait().unwrap().code(), Some(0));
    std::fs::write(&go, "").unwrap();
    assert_eq!(client.line(), "late");
}

#[test]
fn what_goes_to_the_background_leaves_the_terminals_session_and_standard_input_behind() {
    let (host, guest) = (Host::new(), User::with_key());
    let mut command = guest.command("kw-pty");
    let mut client = Running::start(command.args(["-f", &host.address(), "true"]).process_group(0));
    let mut stdin = client.child.stdin.take().unwrap();
    let (_, mut peer) = host.accept();
    assert_eq!(peer.recv().unwrap().0, keywire::conn::kind::PING);
    peer.send(keywire::conn::kind::PONG, &[]);
    assert_eq!(client.child.wait().unwrap().code(), Some(0));
    let group = nix::unistd::Pid::from_raw(client.pid().try_into().unwrap());
    assert_eq!(nix::sys::signal::killpg(group, Signal::SIGHUP), Err(nix::errno::Errno::ESRCH));
    assert_eq!(stdin.write_all(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    end(peer, 0);
}

#[test]
fn what_a_host_says_at_once_is_not_lost_on_the_way_to_the_background() {
    let pair = Pair::new();
    for _ in 0..20 {
        let done = pair.guest.run("kw-pty", ["-f", &pair.address, "echo at once; exit 3"]);
        assert_eq!((done.code(), done.stdout.as_str()), (0, "at once\n"));
    }
}

#[test]
fn what_cannot_go_to_the_background_fails_in_the_foreground() {
    let pair = Pair::new();
    let (key, at) = pair.address.split_once('@').unwrap();
    let other = User::with_key().key();
    pair.guest.run("kw-pty", ["-f", &format!("{key}@127.0.0.1:1"), "true"]).fails(255, "connection refused");
    pair.guest.run("kw-pty", ["-f", &format!("{other}@{at}"), "true"]).fails(255, "handshake with");
    pair.guest.run("kw-pty", ["-f", &pair.address]).fails(255, "a shell cannot go to the background");
    User::new().run("kw-pty", ["-f", &pair.address, "true"]).fails(255, "kw-keygen new");
    User::with_key().run("kw-pty", ["-f", &pair.address, "true"]).fails(255, "not on the allowlist");
}

#[test]
fn a_loop_that_reads_a_list_is_not_eaten_by_a_command_without_input() {
    let pair = Pair::new();
    let script = "while read line; do \"$0\" -n \"$1\" \"cat; echo $line\"; done";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, binary("kw-pty"), &pair.address]).env("KEYWIRE_HOME", pair.guest.home());
    assert_eq!(Done::with(&mut shell, b"one\ntwo\nthree\n").succeeds().stdout, "one\ntwo\nthree\n");
}

#[test]
fn what_kw_pty_says_goes_to_a_log_and_what_the_command_says_does_not() {
    let pair = Pair::new();
    let log = pair.guest.file("log");
    let log_file = log.to_str().unwrap();
    let done = pair.guest.run("kw-pty", ["-v", "-E", log_file, &pair.address, "echo err >&2"]).succeeds();
    assert_eq!(done.stderr, "err\n");
    let done = pair.guest.run("kw-pty", ["-E", log_file, "nobody", "true"]);
    assert_eq!((done.code(), done.stdout.as_str(), done.stderr.as_str()), (255, "", ""));
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("kw-pty: dialing") && logged.contains("no peer is called 'nobody'"), "{logged}");
    let nowhere = pair.guest.file("no/folder");
    pair.guest.run("kw-pty", ["-E", nowhere.to_str().unwrap(), &pair.address, "true"]).fails(255, "cannot write to");
}

#[test]
fn the_settings_are_shown_without_dialing_even_for_a_host_that_nobody_knows() {
    let guest = User::with_key();
    let key = User::with_key().key();
    guest.run("kw-peers", ["add", "box", &format!("{key}@192.0.2.7:7000")]).succeeds();
    let shown = |words: &[&str]| {
        let done = guest.run("kw-pty", ["-G"].iter().chain(words)).succeeds();
        assert_eq!(done.stderr, "");
        done.stdout
    };
    let has = |text: &str, line: &str| assert!(text.lines().any(|shown| shown == line), "{line:?} is not in {text}");
    let unknown = shown(&["-o", "SendEnv=GIT_PROTOCOL", "-p", "7000", "nobody@example.org"]);
    for line in ["host example.org", "user nobody", "hostname example.org", "port 7000", "requesttty auto"] {
        has(&unknown, line);
    }
    let known = shown(&["box", "-oBatchMode=yes", "-oConnectTimeout=1m", "-t", "-i", "/k/id", "-n", "-4"]);
    for line in [
        "host box",
        &format!("user {key}"),
        "hostname 192.0.2.7",
        "port 7000",
        "batchmode yes",
        "connecttimeout 60",
        "requesttty true",
        "identityfile /k/id",
        "stdinnull yes",
        "addressfamily inet",
    ] {
        has(&known, line);
    }
    guest.run("kw-pty", ["-G"]).fails(255, "no host");
}

/// The program whose command line ours is like is asked what it makes of the same words.
#[test]
fn ssh_reads_the_same_lines_in_the_same_way() {
    if Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_err() {
        eprintln!("skipped: ssh is not installed");
        return;
    }
    let guest = User::with_key();
    let fields = ["host", "user", "hostname", "port", "addressfamily", "batchmode", "requesttty", "sessiontype"];
    let fields: Vec<&str> = fields.into_iter().chain(["stdinnull", "escapechar", "remotecommand", "setenv"]).collect();
    let told = |done: Done| -> Vec<String> {
        let mut lines: Vec<String> = done
            .succeeds()
            .stdout
            .lines()
            .filter(|line| fields.contains(&line.split(' ').next().unwrap()))
            // Which user and port there are when none is named is another question.
            .filter(|line| !line.starts_with("user ") || line.contains("PK"))
            .filter(|line| *line != "port 22" && *line != "port 2022")
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    for line in [
        "h",
        "PK@h",
        "-l PK h",
        "-l PK other@h",
        "PK@h -l other",
        "-p 7 h -p 8",
        "-p7 -oPort=8 h",
        "-oport=7 -p8 h",
        "h -p7 -- -p8",
        "-p7 -- h -p8",
        "-- h -p8",
        "ssh://PK@h:7",
        "-p7 ssh://PK@h:8",
        "ssh://PK@h:7 -p8",
        "PK@::1",
        "-t h",
        "-tt h",
        "-ttt h",
        "-tT h",
        "-Tt h",
        "-t h -t",
        "-oRequestTTY=yes -t h",
        "-t -oRequestTTY=no h",
        "-oRequestTTY=force -oRequestTTY=no h",
        "-N h",
        "-N -t h",
        "-s h sftp",
        "h -s sftp",
        "-oSessionType=subsystem h sftp",
        "-N -oSessionType=subsystem h",
        "-n h",
        "-oStdinNull=no -n h",
        "-f h x",
        "-nf h x",
        "-4 h",
        "-46 h",
        "-oAddressFamily=inet -6 h",
        "-4 -oAddressFamily=inet6 h",
        "-e a -e b h",
        "-oEscapeChar=none -e b h",
        "-oEscapeChar=none h",
        "-oBatchMode=TRUE h",
        "-oRemoteCommand=none h",
        "-oRemoteCommand=ls h",
        "-oSetEnv=A=1 -oSetEnv=B=2 h",
        "-oHostName=%h.example h",
        "-xakC2 h",
        "-q h",
        "-qvT -oForwardAgent=no -- h sftp",
        "h -",
    ] {
        let words: Vec<&str> = ["-G"].into_iter().chain(line.split(' ')).collect();
        let ssh = Done::of(Command::new("ssh").args(["-F", "none"]).args(&words).stdin(Stdio::null()));
        assert_eq!(told(guest.run("kw-pty", &words)), told(ssh), "{line}: kw-pty on the left, ssh on the right");
    }
    for line in ["", "-p", "-p 0 h", "-z h", "-N -s h x", "-f h", "-s h", "-oFoo=1 h", "-oPort h", "@h", "ssh://h/x"] {
        let words: Vec<&str> = ["-G"].into_iter().chain(line.split_whitespace()).collect();
        let ssh = Done::of(Command::new("ssh").args(["-F", "none"]).args(&words).stdin(Stdio::null()));
        assert_eq!((guest.run("kw-pty", &words).code(), ssh.code()), (255, 255), "{line}");
    }
}

#[test]
fn the_version_is_talk_for_the_letter_and_a_result_for_the_word() {
    let user = User::new();
    let version = format!("kw-pty {}\n", env!("CARGO_PKG_VERSION"));
    let done = user.run("kw-pty", ["-V"]).succeeds();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", version.as_str()));
    let done = user.run("kw-pty", ["--version"]).succeeds();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), (version.as_str(), ""));
    assert!(!user.home().exists());
}

#[test]
fn another_host_may_be_dialed_for_the_key_of_a_name() {
    let pair = Pair::new();
    let (key, at) = pair.address.split_once('@').unwrap();
    let port = at.rsplit_once(':').unwrap().1;
    pair.guest.run("kw-peers", ["add", "box", &format!("{key}@moved.invalid:{port}")]).succeeds();
    pair.guest.run("kw-pty", ["box", "true"]).fails(255, "moved.invalid");
    let done = pair.guest.run("kw-pty", ["-oHostName=127.0.0.1", "box", "echo", "hi"]);
    assert_eq!(done.succeeds().stdout, "hi\n");
}

#[test]
fn only_addresses_of_the_kind_that_was_asked_for_are_dialed() {
    let pair = Pair::new();
    assert_eq!(pair.guest.run("kw-pty", ["-4", &pair.address, "echo hi"]).succeeds().stdout, "hi\n");
    pair.guest.run("kw-pty", ["-6", &pair.address, "echo hi"]).fails(255, "no IPv6 address");
}

#[test]
fn a_port_that_never_answers_is_given_up_when_its_time_is_over() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let guest = User::with_key();
    let address = format!("{}@{}", User::with_key().key(), silent.local_addr().unwrap());
    guest.run("kw-pty", ["-oConnectTimeout=1", &address, "true"]).fails(255, "no answer within 1 s");
}

#[test]
fn in_batch_mode_nobody_is_asked_for_a_passphrase() {
    let pair = Pair::new();
    let passphrase = pair.guest.file("passphrase");
    std::fs::write(&passphrase, "correct horse\n").unwrap();
    let passphrase = passphrase.to_str().unwrap();
    let sealed = pair.guest.file("sealed.json");
    let sealed = sealed.to_str().unwrap();
    pair.guest.run("kw-keygen", ["new", "--identity", sealed, "--passphrase-file", passphrase]).succeeds();
    let done = pair.guest.run("kw-pty", ["-oBatchMode=yes", "-i", sealed, &pair.address, "true"]);
    let done = done.fails(255, "BatchMode asks nobody");
    assert!(done.stderr.contains("hint:") && done.stderr.contains("--passphrase-file"), "{done:?}");
    // A passphrase in a file is not asked for. This key is nobody's whom the host knows.
    let words = ["-oBatchMode=yes", "-i", sealed, "--passphrase-file", passphrase, &pair.address, "true"];
    pair.guest.run("kw-pty", words).fails(255, "not on the allowlist");
    assert_eq!(pair.guest.run("kw-pty", ["-oBatchMode=yes", &pair.address, "echo hi"]).succeeds().stdout, "hi\n");
}

#[test]
fn a_key_of_ssh_is_told_from_a_damaged_one() {
    let user = User::with_key();
    let key = user.file("id_ed25519");
    for text in ["-----BEGIN OPENSSH PRIVATE KEY-----\n", "-----BEGIN RSA PRIVATE KEY-----\n", "ssh-ed25519 AAAA u@h\n"]
    {
        std::fs::write(&key, text).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        for words in [["-i", key.to_str().unwrap()], ["-o", &format!("IdentityFile={}", key.display())]] {
            let address = format!("{}@127.0.0.1:1", user.key());
            let done = user.run("kw-pty", words.iter().chain(&[address.as_str(), "true"])).fails(255, "a key of ssh");
            assert!(done.stderr.contains("hint: make a key pair for keywire: kw-keygen new"), "{done:?}");
        }
    }
}

#[test]
fn a_wrong_line_leaves_standard_output_empty_and_says_what_to_do() {
    let user = User::new();
    for words in [["-L", "80:a:80"], ["-D", "1080"], ["-J", "jump"], ["-o", "ProxyCommand=nc"], ["-o", "Nonsense=1"]] {
        let done = user.run("kw-pty", words.iter().chain(&["h", "true"])).fails(255, words[0]);
        assert!(done.stderr.contains("hint:"), "{done:?}");
    }
    assert!(!user.home().exists());
}
