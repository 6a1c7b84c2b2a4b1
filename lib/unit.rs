//! `--print-unit`: a unit file for systemd's user manager that starts a program as it was called.

use crate::error::{Error, Result, reason};
use std::path::{Path, PathBuf};

/// A program that can be a service.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its name, and that of the unit.
    pub name: &'static str,
    /// What it does, in a few words.
    pub description: &'static str,
    /// Its page, as `kw-ptyd(8)`.
    pub page: &'static str,
    /// What stands in the section `[Service]` below what every program has, whole lines.
    pub settings: &'static str,
}

impl Service {
    /// The unit file for the command line `args`, which names `--print-unit` among others.
    ///
    /// # Errors
    /// This program, or a file in `args`, has a name that is not UTF-8.
    pub fn unit(&self, args: impl Iterator<Item = String>) -> Result<String> {
        let program = std::env::current_exe()
            .map_err(|cause| Error::state(format!("cannot tell where this program lies: {}", reason(&cause))))?;
        let mut words = vec![quoted(&text(&program)?)];
        for arg in with_whole_paths(args.filter(|arg| arg != "--print-unit"))? {
            words.push(quoted(&arg));
        }
        let home = match std::env::var_os("KEYWIRE_HOME").filter(|home| !home.is_empty()) {
            Some(home) => {
                let home = text(&whole(Path::new(&home))?)?;
                format!("Environment={}\n", quoted_without_variables(&format!("KEYWIRE_HOME={home}")))
            }
            None => String::new(),
        };
        let Service { name, description, page, settings } = self;
        Ok(format!(
            "\
# To be kept as ~/.config/systemd/user/{name}.service, then:
#   systemctl --user daemon-reload
#   systemctl --user enable --now {name}
#   loginctl enable-linger          (it runs without anybody logged in)

[Unit]
Description={description}
Documentation=man:{page}
StartLimitIntervalSec=0

[Service]
Type=exec
{home}ExecStart={words}
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=2
{settings}
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
}

/// The command line with the files of the options for files given from `/` on: a unit starts in the home directory.
fn with_whole_paths(mut args: impl Iterator<Item = String>) -> Result<Vec<String>> {
    let from_root = |path: &str| whole(Path::new(path)).and_then(|path| text(&path));
    let mut words = Vec::new();
    while let Some(arg) = args.next() {
        if ["-i", "--identity", "--passphrase-file"].contains(&arg.as_str()) {
            words.push(arg);
            words.extend(args.next().map(|path| from_root(&path)).transpose()?);
            continue;
        }
        if arg == "--exec" {
            words.push(arg);
            words.extend(args.next().map(|line| whole_command(&line)).transpose()?);
            continue;
        }
        if let Some(line) = arg.strip_prefix("--exec=") {
            words.push(format!("--exec={}", whole_command(line)?));
            continue;
        }
        let joined = ["--identity=", "--passphrase-file=", "-i"].into_iter().find_map(|option| {
            let path = arg.strip_prefix(option)?;
            Some((option, path))
        });
        words.push(match joined {
            Some((option, path)) => format!("{option}{}", from_root(path)?),
            None => arg,
        });
    }
    Ok(words)
}

/// A command line whose program, if it is named by a path, is named from `/` on.
fn whole_command(line: &str) -> Result<String> {
    let (program, rest) = line.split_once(' ').map_or((line, None), |(program, rest)| (program, Some(rest)));
    if !program.contains('/') || program.contains(['"', '\'', '\\']) {
        return Ok(line.to_owned());
    }
    let program = text(&whole(Path::new(program))?)?;
    Ok(rest.map_or_else(|| program.clone(), |rest| format!("{program} {rest}")))
}

fn whole(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|cause| Error::state(format!("cannot tell where '{}' is: {}", path.display(), reason(&cause))))
}

fn text(path: &Path) -> Result<String> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::state(format!("{} is not UTF-8, which a unit file must be", path.display())))
}

/// One word of a command line as systemd.service(5) reads it: `%` and `$` stand for themselves only when doubled.
fn quoted(word: &str) -> String {
    quoted_without_variables(&word.replace('$', "$$"))
}

/// The same where no variables are put in, as in `Environment=`: only `%` is doubled.
fn quoted_without_variables(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
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

    #[test]
    fn a_variable_of_the_unit_has_its_dollar_once() {
        assert_eq!(quoted_without_variables("KEYWIRE_HOME=/a$b/100%"), "KEYWIRE_HOME=/a$b/100%%");
    }

    #[test]
    fn files_are_named_from_the_root_on_however_the_option_is_written() {
        let here = std::env::current_dir().unwrap();
        let here = here.to_str().unwrap();
        for (written, expected) in [
            (&["-i", "x"][..], format!("-i {here}/x")),
            (&["-ix"], format!("-i{here}/x")),
            (&["--identity=x", "--allow-self"], format!("--identity={here}/x --allow-self")),
            (&["--identity", "x"], format!("--identity {here}/x")),
            (&["--passphrase-file", "x"], format!("--passphrase-file {here}/x")),
            (&["--passphrase-file=a/x"], format!("--passphrase-file={here}/a/x")),
            (&["--exec", "./x a"], format!("--exec {here}/x a")),
            (&["--exec=./x", "--json"], format!("--exec={here}/x --json")),
            (&["--exec", "logger -t a/b"], "--exec logger -t a/b".to_owned()),
            (&["-i", "/x", "--listen", "[::]:1"], "-i /x --listen [::]:1".to_owned()),
        ] {
            let words = with_whole_paths(written.iter().map(|word| (*word).to_owned())).unwrap();
            assert_eq!(words.join(" "), expected);
        }
    }
}
