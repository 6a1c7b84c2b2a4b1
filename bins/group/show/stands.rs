//! How a group and its members stand.

use super::{Show, mode, standing, time};
use keywire::error::Result;
use keywire::group::engine::{Brief, Info, MemberInfo};
use keywire::json::json;
use keywire::proto::group::roster::Role;
use keywire::table;
use keywire::term::sanitize_line;

impl Show {
    pub(super) fn members(&mut self, info: &Info) -> Result<()> {
        let mut rows = Vec::new();
        for member in &info.members {
            let MemberInfo { member: key, role, muted, addresses, connected, seen, failure } = member;
            let name = self.names.of(key).map(str::to_owned);
            if self.form.is_json {
                self.object(&json!({
                    "event": "member", "group": info.brief.id, "group_name": info.brief.name, "member": key,
                    "name": name, "role": role, "muted": muted, "connected": connected, "seen": seen,
                    "addresses": addresses, "failure": failure,
                }))?;
                continue;
            }
            let mut standing = word(*role).to_owned();
            if *muted {
                standing += ", muted";
            }
            let reach = match (*key == info.me, connected, seen) {
                (true, _, _) => "ourselves".to_owned(),
                (_, true, _) => "connected".to_owned(),
                (_, _, Some(seen)) => format!("seen {}", time(*seen)),
                _ => "-".to_owned(),
            };
            let name = name.unwrap_or_else(|| "-".to_owned());
            rows.push([name, key.to_string(), standing, reach, sanitize_line(&addresses.join(","))]);
        }
        for join in &info.joins {
            let name = self.names.of(&join.member).map(str::to_owned);
            if self.form.is_json {
                self.object(&json!({
                    "event": "member", "group": info.brief.id, "group_name": info.brief.name, "member": join.member,
                    "name": name, "role": "waiting", "muted": false, "connected": false, "seen": join.since,
                    "addresses": [], "failure": null,
                }))?;
                continue;
            }
            let since = format!("since {}", time(join.since));
            let name = name.unwrap_or_else(|| "-".to_owned());
            rows.push([name, join.member.to_string(), "waiting".to_owned(), since, String::new()]);
        }
        let aligned = table::align(&rows);
        if !aligned.is_empty() {
            self.line(aligned.trim_end_matches('\n'));
        }
        Ok(())
    }

    pub(super) fn info(&mut self, info: &Info) -> Result<()> {
        let connected = info.members.iter().filter(|member| member.connected).count();
        let Brief { id, name, mode: who, status } = &info.brief;
        if self.form.is_json {
            let gaps = self.gaps(&info.gaps);
            let object = json!({
                "event": "info", "group": id, "group_name": name, "mode": who, "status": status, "title": info.title,
                "owner": info.owner, "name": self.names.of(&info.owner), "created": info.created.saturating_mul(1000),
                "history": info.history, "members": info.members.len(), "connected": connected,
                "waiting": info.joins.len(), "entries": info.entries, "synced": info.synced, "gaps": gaps,
                "forks": info.forks, "void": info.void,
            });
            return self.object(&object);
        }
        let title =
            if info.title == *name { String::new() } else { format!(", for others {}", sanitize_line(&info.title)) };
        let owner = self.called(&info.owner);
        let synced = info.synced.map_or_else(|| "never".to_owned(), time);
        let waiting = match info.joins.len() {
            0 => String::new(),
            count => format!(", {count} waiting for approval"),
        };
        for (what, is) in [
            ("name", sanitize_line(&format!("{name}{title}"))),
            ("id", id.to_string()),
            ("mode", mode(*who).to_owned()),
            ("status", standing(*status).to_owned()),
            ("owner", owner),
            ("made", time(info.created.saturating_mul(1000))),
            ("history", format!("{} for newcomers", sanitize_line(&info.history))),
            ("members", format!("{}, {connected} connected{waiting}", info.members.len())),
            ("entries", info.entries.to_string()),
            ("synced", synced),
        ] {
            self.line(&format!("{what:<9}{is}"));
        }
        for gap in &info.gaps {
            let gap = self.gap(gap);
            self.line(&format!("missing  {gap}"));
        }
        for author in &info.forks {
            let author = self.called(author);
            self.line(&format!("forked   {author} has written two entries in one place: what follows does not count"));
        }
        for why in &info.void {
            self.line(&format!("void     {}", sanitize_line(why)));
        }
        Ok(())
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}
