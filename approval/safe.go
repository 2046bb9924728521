package approval

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxSpaces = 16 // in a row; more can push text to where another line seems to begin
	maxMarks  = 2  // combining marks in a row; more can cover the text around
)

// Safe returns s as one line that renders as what it is. Whatever a terminal or
// browser would obey, hide, reorder or show as another character stands there
// by its number, as ‹U+202E›, bytes that are no text as ‹0xFF›; a word whose
// letters pass for those of another script is followed by a mark that says so;
// and what is longer than most characters is cut in its middle, with how many
// characters were cut.
func Safe(s string, most int) string {
	t, _ := safe(s, most)
	return t
}

// SafeLines is [Safe] for text that may have several lines, such as errors that were
// joined: see [OneLine].
func SafeLines(s string, most int) string { return Safe(OneLine(s), most) }

// OneLine puts the lines of s one after the other, with "; " between them.
func OneLine(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		l = strings.TrimSpace(l)
		switch {
		case l == "":
			continue
		case strings.HasSuffix(b.String(), ":"):
			b.WriteString(" ")
		case b.Len() > 0:
			b.WriteString("; ")
		}
		b.WriteString(l)
	}
	return b.String()
}

// findings say what safe had to mark.
type findings struct {
	hidden int // characters shown by number
	mixed  int // words that pass for another script
	cut    int // characters left out
}

func (f *findings) add(g findings) {
	f.hidden += g.hidden
	f.mixed += g.mixed
	f.cut += g.cut
}

// safe cuts first, so that text without end costs nothing.
func safe(s string, most int) (string, findings) {
	head, tail, cut := divide(s, max(most, 16))
	f := findings{cut: cut}
	var b strings.Builder
	f.write(&b, head)
	if cut > 0 {
		fmt.Fprintf(&b, "‹%d characters cut›", cut)
		f.write(&b, tail)
	}
	return b.String(), f
}

// divide keeps three quarters of most from the start and one from the end.
func divide(s string, most int) (head, tail string, cut int) {
	n := utf8.RuneCountInString(s)
	if n <= most {
		return s, "", 0
	}
	i, j := 0, len(s)
	for range most * 3 / 4 {
		_, w := utf8.DecodeRuneInString(s[i:])
		i += w
	}
	for range most / 4 {
		_, w := utf8.DecodeLastRuneInString(s[:j])
		j -= w
	}
	return s[:i], s[j:], n - most*3/4 - most/4
}

func (f *findings) write(b *strings.Builder, s string) {
	for len(s) > 0 {
		if n := wordLen(s); n > 0 {
			f.word(b, s[:n])
			s = s[n:]
			continue
		}
		if n := len(s) - len(strings.TrimLeft(s, " ")); n > 0 {
			if n > maxSpaces {
				fmt.Fprintf(b, "‹%d spaces›", n)
			} else {
				b.WriteString(s[:n])
			}
			s = s[n:]
			continue
		}
		r, w := utf8.DecodeRuneInString(s)
		f.character(b, r, s[:w], 0)
		s = s[w:]
	}
}

// wordLen is the length of the letters, marks and digits that s begins with.
func wordLen(s string) int {
	for i, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) {
			return i
		}
	}
	return len(s)
}

func (f *findings) word(b *strings.Builder, w string) {
	marks := maxMarks // a mark that begins a word would join what stands before
	for i, r := range w {
		if unicode.IsMark(r) {
			marks++
		} else {
			marks = 0
		}
		f.character(b, r, w[i:i+utf8.RuneLen(r)], marks)
	}
	if why := passesFor(w); why != "" {
		f.mixed++
		b.WriteString("‹" + why + "›")
	}
}

func (f *findings) character(b *strings.Builder, r rune, raw string, marks int) {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		fmt.Fprintf(b, "‹0x%02X›", raw[0])
	case marks <= maxMarks && plain(r):
		b.WriteRune(r)
		return
	default:
		fmt.Fprintf(b, "‹U+%04X›", r)
	}
	f.hidden++
}

// plain says that r shows as itself and as nothing else.
func plain(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= ' ' && r != 0x7f
	case !unicode.IsPrint(r), // controls, bidi and other formats, odd spaces, private use, unassigned
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), unicode.Is(unicode.Variation_Selector, r),
		strings.ContainsRune(deceivers, r), passesForASCII(r):
		return false
	}
	return true
}

// deceivers are characters that show as nothing or as one of / \ : . - ' and
// have no compatibility form that says so (Unicode Technical Standard 39,
// confusables.txt), and the two that Safe itself writes.
const deceivers = "‹›" +
	"\u2044\u2215\u29f8\u27cb\u2571\u2afb\u3033\u4e3f\u1735\u2041\u203a\u29f5\u29f9\u2216\u27cd\u2572" +
	"\u2236\ua789\u0589\u05c3\u0703\u0704\u1803\u1809\u205a\u2982\ua4fd" +
	"\u0701\u0702\u06d4\ua4f8\ua60e\u00b7\u2e31\u0660\u06f0" +
	"\u2010\u2011\u2012\u2043\u2212\u02d7\u1806\u2cba" +
	"\u2800\u034f\u17b4\u17b5\U0001d159\ufffc\u1cbb\u1cbc"

// passesForASCII finds the compatibility forms of letters, digits and the
// punctuation of addresses and paths: full width, mathematical, one dot leader.
func passesForASCII(r rune) bool {
	if r == '…' {
		return false // nobody reads it as "."
	}
	var buf [8]byte
	k := norm.NFKC.Bytes(utf8.AppendRune(buf[:0], r))
	for _, c := range k {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("./\\:@-_%?#&=;,+~!*()[]{}<>|$'\"`^", rune(c)) {
			return false
		}
	}
	return true
}

// scripts are those with letters that pass for Latin ones, and Latin itself.
func scriptOf(r rune) string {
	switch {
	case unicode.Is(unicode.Latin, r):
		return "Latin"
	case unicode.Is(unicode.Cyrillic, r):
		return "Cyrillic"
	case unicode.Is(unicode.Greek, r):
		return "Greek"
	case unicode.Is(unicode.Armenian, r):
		return "Armenian"
	case unicode.Is(unicode.Cherokee, r):
		return "Cherokee"
	case unicode.Is(unicode.Coptic, r):
		return "Coptic"
	case unicode.Is(unicode.Lisu, r):
		return "Lisu"
	case unicode.Is(unicode.Canadian_Aboriginal, r):
		return "Canadian Aboriginal"
	case unicode.Is(unicode.Georgian, r):
		return "Georgian"
	}
	return ""
}

// lookalikes are the letters of other scripts that look like Latin ones in most
// fonts (Unicode Technical Standard 39, confusables.txt).
const lookalikes = "аеорсухіѕјһԁԛԝѵӏАВЕЅІЈКМНОРСТУХҮԌԚԜѴӀ" +
	"αονΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹϲϳ" + "աօսոհցզյՕՍԼ" + "ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ"

// passesFor says why a word may be read as another, or "".
func passesFor(w string) string {
	var seen []string
	alike, letters := 0, 0
	for _, r := range w {
		s := scriptOf(r)
		if s == "" {
			continue
		}
		letters++
		if strings.ContainsRune(lookalikes, r) {
			alike++
		}
		if !strings.Contains(strings.Join(seen, ", "), s) {
			seen = append(seen, s)
		}
	}
	switch {
	case len(seen) > 1:
		return "mixed " + strings.Join(seen, ", ")
	case letters > 0 && alike == letters && seen[0] != "Latin":
		return seen[0] + ", looks like Latin"
	}
	return ""
}
