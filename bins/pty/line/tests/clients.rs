//! The command lines that real programs build when they are told that kw-pty is their ssh, word by word.

use super::{Seen, args, exec, refused, seen, subsystem};
use crate::line::args::TtyWish;

#[test]
fn rsync_hands_on_the_user_by_l_and_its_own_words_apart() {
    let words = ["-l", "PK", "h", "rsync", "--server", "-logDtpre.iLsfxCIvu", ".", "/p"];
    let wanted = exec("rsync --server -logDtpre.iLsfxCIvu . /p");
    assert_eq!(seen(&words), wanted.key("PK"));
    let words = ["h", "rsync", "--server", "--sender", "-logDtpre.iLsfxCIvu", ".", "/p\\ q"];
    assert_eq!(seen(&words), exec("rsync --server --sender -logDtpre.iLsfxCIvu . /p\\ q"));
    let words = ["-p", "7000", "-l", "PK", "::1", "rsync", "--server", "."];
    assert_eq!(seen(&words), exec("rsync --server .").key("PK").at("::1").port(7000));
    assert_eq!(seen(&["h", "rsync", "--server", "--daemon", "."]), exec("rsync --server --daemon ."));
}

#[test]
fn git_asks_whether_this_is_like_ssh_and_then_comes_with_a_port_and_a_variable() {
    let probe = args(&["-G", "-o", "SendEnv=GIT_PROTOCOL", "-p", "7000", "PK@h"]);
    assert!(probe.show && probe.port == Some(7000));
    for (command, quoted) in [("upload-pack", "/p"), ("receive-pack", "/p q"), ("upload-archive", "p.git")] {
        let command = format!("git-{command} '{quoted}'");
        let words = ["-o", "SendEnv=GIT_PROTOCOL", "-p", "7000", "PK@h", &command];
        assert_eq!(seen(&words), exec(&command).key("PK").port(7000));
    }
    assert_eq!(seen(&["PK@h", "git-upload-pack '/p'"]), exec("git-upload-pack '/p'").key("PK"));
    assert_eq!(seen(&["-4", "h", "git-upload-pack '/p'"]), exec("git-upload-pack '/p'"));
}

#[test]
fn scp_asks_for_the_subsystem_sftp() {
    let words = [
        "-x",
        "-oPermitLocalCommand=no",
        "-oClearAllForwardings=yes",
        "-oRemoteCommand=none",
        "-oRequestTTY=no",
        "-oControlMaster=no",
        "-q",
        "-oForwardAgent=no",
        "-p",
        "7000",
        "-l",
        "PK",
        "-s",
        "--",
        "h",
        "sftp",
    ];
    assert_eq!(seen(&words), subsystem("sftp").key("PK").port(7000));
    let batch: Vec<&str> = ["-oBatchMode=yes"].into_iter().chain(words).collect();
    assert!(args(&batch).batch == Some(true));
}

#[test]
fn scp_of_the_old_protocol_runs_scp_there_and_between_two_hosts_without_input() {
    let start = [
        "-x",
        "-oPermitLocalCommand=no",
        "-oClearAllForwardings=yes",
        "-oRemoteCommand=none",
        "-oRequestTTY=no",
        "-oForwardAgent=no",
        "-l",
        "PK",
        "--",
        "h",
    ];
    for command in ["scp -t /p", "scp -r -f /p*"] {
        let words: Vec<&str> = start.into_iter().chain([command]).collect();
        assert_eq!(seen(&words), exec(command).key("PK"));
    }
    let words = ["-x", "-oClearAllForwardings=yes", "-n", "-q", "--", "ha", "scp", "/p", "hb:/q"];
    assert_eq!(seen(&words), Seen { stdin: false, ..exec("scp /p hb:/q").at("ha") });
}

#[test]
fn sftp_writes_names_in_small_letters_and_a_blank_before_the_value() {
    let words = [
        "-oForwardX11 no",
        "-oPermitLocalCommand no",
        "-oClearAllForwardings yes",
        "-oControlMaster no",
        "-obatchmode yes",
        "-oForwardAgent no",
        "-oPort 7000",
        "-l",
        "PK",
        "-s",
        "--",
        "h",
        "sftp",
    ];
    assert_eq!(seen(&words), subsystem("sftp").key("PK").port(7000));
    assert_eq!(args(&words).batch, Some(true));
    let words = ["-oForwardX11 no", "-oForwardAgent no", "--", "h", "/usr/lib/openssh/sftp-server"];
    assert_eq!(seen(&words), exec("/usr/lib/openssh/sftp-server"));
}

#[test]
fn sshfs_asks_for_the_second_version_of_a_protocol_that_is_not_spoken_here() {
    let words = ["-x", "-a", "-oClearAllForwardings=yes", "-oPort=7000", "-2", "-s", "--", "PK@h", "sftp"];
    assert_eq!(seen(&words), subsystem("sftp").key("PK").port(7000));
}

#[test]
fn lftp_takes_the_subsystem_or_a_shell_that_it_feeds() {
    let words = ["-a", "-x", "-s", "-l", "PK", "-p", "7000", "h", "sftp"];
    assert_eq!(seen(&words), subsystem("sftp").key("PK").port(7000));
    let words = ["-a", "-x", "-l", "PK", "-p", "7000", "h", "echo FISH:;/bin/sh"];
    assert_eq!(seen(&words), exec("echo FISH:;/bin/sh").key("PK").port(7000));
}

#[test]
fn restic_writes_its_options_behind_the_host() {
    assert_eq!(seen(&["h", "-p", "7000", "-l", "PK", "-s", "sftp"]), subsystem("sftp").key("PK").port(7000));
    assert_eq!(seen(&["h", "-s", "sftp"]), subsystem("sftp"));
    assert_eq!(seen(&["-s", "h", "sftp"]), subsystem("sftp"));
}

#[test]
fn borg_hands_on_its_words_apart() {
    assert_eq!(seen(&["-p", "7000", "PK@h", "borg", "serve"]), exec("borg serve").key("PK").port(7000));
}

#[test]
fn ansible_quotes_values_and_asks_to_share_a_connection_if_that_can_be() {
    let start = [
        "-C",
        "-o",
        "ControlMaster=auto",
        "-o",
        "ControlPersist=60s",
        "-o",
        "Port=7000",
        "-o",
        "KbdInteractiveAuthentication=no",
        "-o",
        "PreferredAuthentications=gssapi-with-mic,gssapi-keyex,hostbased,publickey",
        "-o",
        "PasswordAuthentication=no",
        "-o",
        "User=\"PK\"",
        "-o",
        "ConnectTimeout=10",
        "-o",
        "ControlPath=\"/home/u/.ansible/cp/0123456789\"",
        "-o",
        "NumberOfPasswordPrompts=1",
    ];
    let command = "/bin/sh -c 'echo ~PK && sleep 0'";
    let words: Vec<&str> = start.into_iter().chain(["h", command]).collect();
    assert_eq!(seen(&words), exec(command).key("PK").port(7000));
    assert_eq!(args(&words).connect_timeout.unwrap().as_secs(), 10);
    let words: Vec<&str> = start.into_iter().chain(["-tt", "h", command]).collect();
    assert_eq!(seen(&words), Seen { tty: true, ..exec(command).key("PK").port(7000) });
}

#[test]
fn mosh_comes_through_unless_it_wants_a_proxy() {
    let command = "mosh-server 'new' '-c' '8' '-s' '-l' 'LANG=C.UTF-8'";
    let words = ["-n", "-tt", "PK@h", "--", command];
    assert_eq!(seen(&words), Seen { tty: true, stdin: false, ..exec(command).key("PK") });
    let proxy = "ProxyCommand='/usr/bin/mosh' --fake-proxy -- %h %p";
    refused(&["-n", "-tt", "-S", "none", "-o", proxy, "PK@h", "--", command], "dials the host itself");
}

#[test]
fn eternal_terminal_writes_names_behind_the_host_and_may_want_a_jump() {
    let command = "echo 'id/key_xterm' | etterminal --verbose=0";
    let words = ["PK@h", "-oServerAliveInterval=5", "-oPort=7000", command];
    assert_eq!(seen(&words), exec(command).key("PK").port(7000));
    refused(&["-J", "jump", "PK@h", command], "dials the host itself");
}

#[test]
fn docker_ends_the_options_before_the_host() {
    let words = ["-l", "PK", "-p", "7000", "--", "h", "docker", "system", "dial-stdio"];
    assert_eq!(seen(&words), exec("docker system dial-stdio").key("PK").port(7000));
}

#[test]
fn nix_wants_a_command_on_this_side_and_a_shared_connection() {
    let words = [
        "PK@h",
        "-x",
        "-i",
        "k",
        "-C",
        "-p7000",
        "-oPermitLocalCommand=yes",
        "-oLocalCommand=echo started",
        "--",
        "nix-store",
        "--serve",
        "--write",
    ];
    refused(&words, "runs no command on this side");
    refused(&["PK@h", "-O", "check"], "shares no connection");
    refused(&["PK@h", "-M", "-N", "-S", "/tmp/sock"], "shares no connection");
    let without: Vec<&str> = words.into_iter().filter(|word| !word.contains("LocalCommand")).collect();
    assert_eq!(seen(&without), exec("nix-store --serve --write").key("PK").port(7000));
}

#[test]
fn gnu_parallel_sends_its_program_in_one_long_word() {
    let hex = "0a".repeat(4000);
    let words = ["-l", "PK", "h", "--", "exec", "perl", "-X", "-e", "@GNU_Parallel=split/_/,", &hex];
    assert_eq!(seen(&words), exec(&format!("exec perl -X -e @GNU_Parallel=split/_/, {hex}")).key("PK"));
}

#[test]
fn an_editor_that_wants_a_socks_port_is_told_that_there_is_none() {
    let words = ["-v", "-T", "-D", "41001", "-o", "ConnectTimeout=15", "h", "bash"];
    refused(&words, "forwards no ports");
    refused(&["-T", "-L", "127.0.0.1:0:/tmp/sock", "h", "bash"], "forwards no ports");
    refused(&["-T", "-F", "/home/u/config", "h", "bash"], "no configuration file");
    let without = ["-v", "-T", "-o", "ConnectTimeout=15", "h", "bash"];
    assert_eq!(seen(&without), exec("bash"));
    assert_eq!(args(&without).tty, Some(TtyWish::No));
}

#[test]
fn what_sends_a_volume_or_a_tape_is_a_plain_command() {
    assert_eq!(seen(&["h", "zfs receive -F pool/x"]), exec("zfs receive -F pool/x"));
    assert_eq!(seen(&["h", "tar", "-x", "-C", "/srv"]), exec("tar -x -C /srv"));
}
