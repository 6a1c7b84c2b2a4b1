//! tar(1), dd(1), and everything else that a shell puts at one end of a pipe.

use super::{Site, sample_with_links, tree};
use std::fs;

#[test]
fn tar_carries_a_tree_there_and_back_through_pipes() {
    let Some(site) = Site::with(&["tar"]) else { return };
    sample_with_links(&site.here("tree"));
    site.shell(
        "tar c tree | kw-pty box \"tar xp -C $there\" && mkdir back && kw-pty box tar c -C $there tree | tar xp -C back",
    )
    .succeeds();
    let original = tree(&site.here("tree"));
    assert!(tree(&site.there("tree")) == original && tree(&site.here("back/tree")) == original);
}

#[test]
fn dd_writes_blocks_there_and_reads_them_back() {
    let Some(site) = Site::with(&[]) else { return };
    let bytes = crate::pty::random(3_000_001);
    fs::write(site.here("image"), &bytes).unwrap();
    site.shell(
        "dd if=image bs=64k status=none | kw-pty box dd of=$there/image bs=1M iflag=fullblock status=none &&
         kw-pty -C -p $port $key@127.0.0.1 \"dd if=$there/image bs=512\" 2>said | dd of=back bs=1M status=none",
    )
    .succeeds();
    assert!(fs::read(site.there("image")).unwrap() == bytes && fs::read(site.here("back")).unwrap() == bytes);
    assert!(fs::read_to_string(site.here("said")).unwrap().contains("3000001 bytes"));
}

#[test]
fn sixty_four_mebibytes_have_the_same_hash_at_either_end_of_a_pipe() {
    let Some(site) = Site::with(&[]) else { return };
    let line = "head -c 64M /dev/urandom > $there/large
        for place in 'cat $there/large | kw-pty box sha256sum' 'kw-pty box cat $there/large | sha256sum' \\
            'sha256sum < $there/large'; do eval \"$place\"; done";
    let sums = site.shell(line).succeeds().stdout;
    let sums: Vec<&str> = sums.lines().collect();
    assert!(sums.len() == 3 && sums[0] == sums[2] && sums[1] == sums[2], "{sums:?}");
}

#[test]
fn a_loop_that_reads_a_list_is_not_robbed_of_it() {
    let Some(site) = Site::with(&[]) else { return };
    let line = "printf '1\\n2\\n3\\n' | while read number; do kw-pty -n box \"echo $number; cat\"; done";
    assert_eq!(site.shell(line).succeeds().stdout, "1\n2\n3\n");
}
