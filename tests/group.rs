//! kw-group, as processes that talk to each other.

mod cli;
mod lasting;
mod roles;
mod standing;
mod talk;
mod words;

use crate::pty::eventually;
use crate::sandbox::{Done, Running, User};
use keywire::json::Value;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

/// Somebody with a key pair, who may serve.
pub struct Member {
    pub user: User,
    server: Option<Running>,
    /// Where it serves, or did last: `KEY@HOST:PORT`.
    pub address: String,
}

impl Member {
    /// Somebody who cannot be dialed.
    pub fn new() -> Self {
        Member { user: User::with_key(), server: None, address: String::new() }
    }

    /// Somebody who can be dialed, and who has made the group `g`.
    pub fn founder() -> Self {
        let mut member = Member::new();
        member.group(["create", "g"]).succeeds();
        member.serve();
        member
    }

    /// Serves, at the address that it had before if there was one.
    pub fn serve(&mut self) {
        let at = self.address.split_once('@').map_or("127.0.0.1:0", |(_, at)| at).to_owned();
        let mut command = self.user.command("kw-group");
        command.args(["serve", "--listen", &at]).stderr(Stdio::null());
        let mut server = Running::start(&mut command);
        self.address = server.address();
        self.server = Some(server);
    }

    /// Ends the service in good order.
    pub fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        server.signal(nix::sys::signal::Signal::SIGTERM);
        assert!(server.child.wait().unwrap().success());
    }

    pub fn group<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        self.user.run("kw-group", args)
    }

    /// What is kept of the only group, beside its logs.
    pub fn file(&self) -> PathBuf {
        let groups = std::fs::read_dir(self.user.home().join("groups")).unwrap();
        let mut files = groups.map(|entry| entry.unwrap().path().join("group.json")).filter(|file| file.is_file());
        files.next().unwrap()
    }

    /// A link to `g`.
    pub fn link(&self, options: &[&str]) -> String {
        self.group([&["invite", "g"], options].concat()).succeeds().stdout
    }

    /// Joins by `link`.
    pub fn join(&self, link: &str) -> Done {
        self.user.run_with("kw-group", ["join", "-"], link.as_bytes())
    }

    /// Asks by `link` to be let in, of those who have to be approved.
    pub fn asks(&self, link: &str) -> Done {
        self.user.run_with("kw-group", ["join", "--wait", "1s", "-"], link.as_bytes()).fails_with(5)
    }

    /// Somebody who has joined `g` by an invite of ours.
    pub fn guest(&self) -> Member {
        let guest = Member::new();
        guest.join(&self.link(&[])).succeeds();
        guest
    }

    /// The only object that a command about `g` prints.
    pub fn object(&self, args: &[&str]) -> Value {
        let mut objects = self.group(args.iter().chain(&["--json"])).succeeds().objects();
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects.remove(0)
    }

    /// What was said in `g`, in order.
    pub fn texts(&self) -> Vec<String> {
        let all = self.group(["export", "g"]).succeeds().objects();
        all.iter().map(|message| message["text"].as_str().unwrap_or("?").to_owned()).collect()
    }
}

/// Three who serve, and know where the others do: the first is the owner.
fn three() -> [Member; 3] {
    let ada = Member::founder();
    let mut others = [ada.guest(), ada.guest()];
    others.iter_mut().for_each(Member::serve);
    let [bob, eve] = others;
    let all = [ada, bob, eve];
    for member in &all {
        eventually("all know where the others can be dialed", || {
            let members = member.group(["members", "g", "--json"]).succeeds().objects();
            members.iter().filter(|one| one["addresses"].as_array().is_some_and(|at| !at.is_empty())).count() == 3
        });
    }
    all
}
