//! The reference in the book is the one that the elements make.

#[test]
fn the_reference_is_up_to_date() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/click-elements.md");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    let made = click_elements::documentation::markdown(&|_| true);
    assert!(
        written == made,
        "docs/src/click-elements.md is old: \
         cargo run -p drupe-click -- elements > docs/src/click-elements.md"
    );
}
