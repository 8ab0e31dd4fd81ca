//! The characters that are never shown as they are.

/// Whether a terminal acts on the character, or a reader sees nothing or not what is there: marks that strike out or
/// enclose the character before them, too.
#[must_use]
pub fn obeyed_or_unseen(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c,
        '\u{80}'..='\u{9f}'                             // C1 controls
        | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' // spaces that separate no words in a shell
        | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{2800}' // more of them, and a blank symbol
        | '\u{61c}' | '\u{200e}' | '\u{200f}'           // bidirectional marks
        | '\u{202a}'..='\u{202e}'                       // embeddings, overrides
        | '\u{2066}'..='\u{2069}'                       // isolates
        | '\u{334}'..='\u{338}' | '\u{488}'..='\u{489}' // strokes, enclosures
        | '\u{20d2}'..='\u{20d3}' | '\u{20d8}'..='\u{20da}' | '\u{20dd}'..='\u{20e0}' // more of them
        | '\u{20e2}'..='\u{20e6}' | '\u{20ea}'..='\u{20eb}' // more of them
        | '\u{ad}' | '\u{34f}'                          // soft hyphen, grapheme joiner
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
        | '\u{17b4}' | '\u{17b5}'                       // Khmer inherent vowels
        | '\u{180b}'..='\u{180f}'                       // Mongolian selectors, vowel separator
        | '\u{200b}'..='\u{200d}'                       // zero-width space and joiners
        | '\u{2028}' | '\u{2029}'                       // line and paragraph separator
        | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' // invisible operators, deprecated
        | '\u{fe00}'..='\u{fe0f}'                       // variation selectors
        | '\u{feff}'                                    // byte-order mark
        | '\u{fff0}'..='\u{fffb}'                       // annotations, specials
        | '\u{1bca0}'..='\u{1bca3}'                     // shorthand controls
        | '\u{1d173}'..='\u{1d17a}'                     // musical controls
        | '\u{e0000}'..='\u{e0fff}'                     // tags, more variation selectors
        | '\u{e000}'..='\u{f8ff}'                       // private use
        | '\u{fdd0}'..='\u{fdef}'                       // noncharacters
        | '\u{f0000}'..='\u{10ffff}'                    // private planes
    ) || u32::from(c) & 0xfffe == 0xfffe // the last two of each plane: noncharacters
}
