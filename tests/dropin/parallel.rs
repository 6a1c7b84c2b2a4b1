//! GNU parallel(1), which writes its own program into the command line, and hands on little of its environment.

use super::Site;

/// `None`, and a word about it, if there is none of GNU's, or only one of the others of that name.
pub fn site(programs: &[&str]) -> Option<Site> {
    let site = Site::with(&[&["parallel"], programs].concat())?;
    if !site.run("parallel", ["--version"]).stdout.starts_with("GNU parallel") {
        eprintln!("skipped: parallel is not GNU's");
        return None;
    }
    Some(site)
}

#[test]
fn parallel_runs_its_jobs_on_the_host() {
    let Some(site) = site(&[]) else { return };
    let by_name = r#"parallel --will-cite -k --ssh kw-pty -S 3/box 'echo {}' ::: a 'b  c' 'd"e$HOME' f g h"#;
    assert_eq!(site.shell(by_name).succeeds().stdout, "a\nb  c\nd\"e$HOME\nf\ng\nh\n");
    let by_key = "parallel --will-cite -k --ssh \"kw-pty -p $port\" -S 2/$key@127.0.0.1 'echo $KEYWIRE_PEER | wc -c; exit {}' ::: 0 3";
    let done = site.shell(by_key);
    assert_eq!((done.code(), done.stdout.as_str()), (1, "62\n62\n"), "{done:?}");
}

#[test]
fn parallel_finds_how_many_jobs_the_host_can_take_and_carries_files() {
    let Some(site) = site(&["rsync"]) else { return };
    let line = "echo one > a; echo two > b; mkdir $there/work
        parallel --will-cite -k --ssh kw-pty -S box --workdir $there/work --trc {}.out 'cat {} {} > {}.out; echo {}' ::: a b
        cat a.out b.out";
    let done = site.shell(line).succeeds();
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("a\nb\none\none\ntwo\ntwo\n", ""));
}
