package terminal

import (
	"io"
	"strings"
)

// Bold returns text in bold, where the terminal draws that.
func (t *Terminal) Bold(text string) string {
	if !t.styled {
		return text
	}
	return "\x1b[1m" + text + "\x1b[22m"
}

// ShowQR draws text as a QR code for a camera, where a person sees the terminal, it has room for that, and its
// characters are of Unicode. It reports whether it has.
func (t *Terminal) ShowQR(text string) bool {
	if !t.styled || !t.unicode {
		return false
	}
	code, ok := encodeQR(text)
	if !ok || code.size+2*margin > t.width() {
		return false
	}
	_, err := io.WriteString(t, drawQR(code))
	return err == nil
}

// margin is how many modules around a QR code are light (ISO/IEC 18004 asks for four; cameras take two).
const margin = 2

// drawQR draws two modules in each character. The colours are set, for a code has to be dark on light.
func drawQR(code *qrCode) string {
	var b strings.Builder
	for y := -margin; y < code.size+margin; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -margin; x < code.size+margin; x++ {
			b.WriteString([]string{" ", "▀", "▄", "█"}[module(code, x, y)+2*module(code, x, y+1)])
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}

// module returns 1 for a dark module of code, 0 for a light one and for what is around the code.
func module(code *qrCode, x, y int) int {
	if code.isDark(x, y) {
		return 1
	}
	return 0
}
