//! `kw-ptyd --print-unit`: a unit file for systemd's user manager that starts this program as it was called.

use keywire::error::{Error, Result, reason};
use std::path::Path;

/// The unit file for the command line `args`, which names `--print-unit` among others.
pub(crate) fn unit(args: impl Iterator<Item = String>) -> Result<String> {
    let program = std::env::current_exe()
        .map_err(|cause| Error::state(format!("cannot tell where this program lies: {}", reason(&cause))))?;
    let mut words = vec![quoted(&text(&program)?)];
    for arg in args.filter(|arg| arg != "--print-unit") {
        words.push(quoted(&arg));
    }
    let home = match std::env::var_os("KEYWIRE_HOME").filter(|home| !home.is_empty()) {
        Some(home) => {
            let home = std::path::absolute(home)
                .map_err(|cause| Error::state(format!("cannot tell where KEYWIRE_HOME is: {}", reason(&cause))))?;
            format!("Environment={}\n", quoted(&format!("KEYWIRE_HOME={}", text(&home)?)))
        }
        None => String::new(),
    };
    Ok(format!(
        "\
# To be kept as ~/.config/systemd/user/kw-ptyd.service, then:
#   systemctl --user daemon-reload
#   systemctl --user enable --now kw-ptyd
#   loginctl enable-linger          (it runs without anybody logged in)

[Unit]
Description=keywire host: shell, commands and files for the keys on the allowlist
Documentation=man:kw-ptyd(8)
StartLimitIntervalSec=0

[Service]
Type=exec
{home}ExecStart={words}
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=2
# The host ends first and tells its sessions; what they leave is ended after that.
KillMode=mixed
TimeoutStopSec=15
# A session that takes all memory takes nobody with it.
OOMPolicy=continue

# Sessions inherit what follows. With it nothing in a session becomes another user: sudo and su do not work. Where they
# must, take out NoNewPrivileges and the lines below it, each of which implies it.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
",
        words = words.join(" ")
    ))
}

fn text(path: &Path) -> Result<String> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::state(format!("{} is not UTF-8, which a unit file must be", path.display())))
}

/// One word as systemd.service(5) reads it: `%` and `$` stand for themselves only when doubled.
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@+%$".contains(c);
    if !escaped.is_empty() && escaped.chars().all(plain) {
        escaped
    } else {
        format!("\"{}\"", escaped.replace('\n', "\\n").replace('\t', "\\t"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_written_so_that_systemd_reads_them_as_they_are() {
        for (word, written) in [
            ("--listen", "--listen"),
            ("a b", "\"a b\""),
            ("100%", "100%%"),
            ("$HOME", "$$HOME"),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(word), written);
        }
    }
}
