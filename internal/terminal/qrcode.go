package terminal

// A qrCode is a QR code (ISO/IEC 18004) of the lowest level of error correction, which a screen needs no more of: it
// does not get dirty. It is made here, because the libraries for it make tables at the start of every program that
// holds one.
type qrCode struct {
	size  int
	dark  []bool
	fixed []bool // a module that is the same whatever the text is
}

// qrVersions are the versions from 1 on, as table 9 of the standard has them for level L: all codewords, those for
// error correction in a block, blocks, and the centres of the alignment patterns. The last one fills 80 columns.
var qrVersions = [...]struct {
	codewords, check, blocks int
	centres                  []int
}{
	{26, 7, 1, nil}, {44, 10, 1, []int{6, 18}}, {70, 15, 1, []int{6, 22}}, {100, 20, 1, []int{6, 26}},
	{134, 26, 1, []int{6, 30}}, {172, 18, 2, []int{6, 34}}, {196, 20, 2, []int{6, 22, 38}},
	{242, 24, 2, []int{6, 24, 42}}, {292, 30, 2, []int{6, 26, 46}}, {346, 18, 4, []int{6, 28, 50}},
	{404, 20, 4, []int{6, 30, 54}}, {466, 24, 4, []int{6, 32, 58}}, {532, 26, 4, []int{6, 34, 62}},
	{581, 30, 4, []int{6, 26, 46, 66}},
}

// encodeQR returns the smallest code for a text; false where it would need a larger one than there is here.
func encodeQR(text string) (*qrCode, bool) {
	for i, v := range qrVersions {
		version, countBits := i+1, 8
		if version > 9 {
			countBits = 16
		}
		room := v.codewords - v.blocks*v.check
		if 4+countBits+8*len(text) > 8*room {
			continue
		}
		c := &qrCode{size: 17 + 4*version}
		c.dark, c.fixed = make([]bool, c.size*c.size), make([]bool, c.size*c.size)
		c.drawFixed(version, v.centres)
		c.drawText(interleave(qrData(text, countBits, room), v.check, v.blocks))
		return c, true
	}
	return nil, false
}

// qrData returns the codewords of a text in byte mode, filled up to room.
func qrData(text string, countBits, room int) []byte {
	data, used := make([]byte, room), 0
	add := func(value, bits int) {
		for i := bits - 1; i >= 0; i-- {
			data[used/8] |= byte(value>>i&1) << (7 - used%8)
			used++
		}
	}
	add(0b0100, 4)
	add(len(text), countBits)
	for _, b := range []byte(text) {
		add(int(b), 8)
	}
	used = min(used+4, 8*room) // the end of the text
	for i, pad := (used+7)/8, byte(0xec); i < room; i, pad = i+1, pad^0xec^0x11 {
		data[i] = pad
	}
	return data
}

// interleave splits data into blocks, adds to each its error correction, and returns them as they are drawn: the first
// codeword of each block, then the second, and so on.
func interleave(data []byte, check, blocks int) []byte {
	var all, checks [][]byte
	for i := range blocks {
		n := len(data) / (blocks - i) // the shorter ones come first
		all = append(all, data[:n])
		checks = append(checks, qrCheck(data[:n], check))
		data = data[n:]
	}
	var mixed []byte
	for _, group := range [][][]byte{all, checks} {
		for i := range group[blocks-1] { // the last is one of the longest
			for _, block := range group {
				if i < len(block) {
					mixed = append(mixed, block[i])
				}
			}
		}
	}
	return mixed
}

// qrCheck returns n codewords of error correction (Reed-Solomon) for a block.
func qrCheck(block []byte, n int) []byte {
	generator := make([]byte, n) // without its leading 1
	generator[n-1] = 1
	root := byte(1)
	for range n {
		for j := range generator {
			generator[j] = qrMultiply(generator[j], root)
			if j+1 < n {
				generator[j] ^= generator[j+1]
			}
		}
		root = qrMultiply(root, 2)
	}
	rest := make([]byte, n)
	for _, b := range block {
		factor := b ^ rest[0]
		copy(rest, rest[1:])
		rest[n-1] = 0
		for j, g := range generator {
			rest[j] ^= qrMultiply(g, factor)
		}
	}
	return rest
}

// qrMultiply multiplies in the field of 256 elements that the standard takes.
func qrMultiply(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 > 0 {
			product ^= a
		}
		carry := a >> 7
		a = a<<1 ^ carry*0x1d
	}
	return product
}

func (c *qrCode) set(x, y int, dark bool) {
	if x >= 0 && x < c.size && y >= 0 && y < c.size {
		c.dark[y*c.size+x], c.fixed[y*c.size+x] = dark, true
	}
}

// isDark reports whether a module is dark. What is around the code is light.
func (c *qrCode) isDark(x, y int) bool {
	return x >= 0 && x < c.size && y >= 0 && y < c.size && c.dark[y*c.size+x]
}

// drawFixed draws what is there whatever the text is: by what a camera finds the code, and how it is to be read.
func (c *qrCode) drawFixed(version int, centres []int) {
	last := c.size - 1
	for i := range c.size {
		c.set(6, i, i%2 == 0)
		c.set(i, 6, i%2 == 0)
	}
	for _, corner := range [][2]int{{3, 3}, {last - 3, 3}, {3, last - 3}} {
		c.square(corner[0], corner[1], 4, func(ring int) bool { return ring != 2 && ring != 4 })
	}
	for i, x := range centres {
		for j, y := range centres {
			end := len(centres) - 1
			if i == 0 && j == 0 || i == 0 && j == end || i == end && j == 0 { // a corner
				continue
			}
			c.square(x, y, 2, func(ring int) bool { return ring != 1 })
		}
	}
	const levelL, mask = 0b01, 0
	format := withCheck(levelL<<3|mask, 10, 0x537) ^ 0x5412
	for i := range 15 {
		dark := format>>i&1 > 0
		switch { // around the first corner
		case i < 6:
			c.set(8, i, dark)
		case i < 8:
			c.set(8, i+1, dark)
		case i == 8:
			c.set(7, 8, dark)
		default:
			c.set(14-i, 8, dark)
		}
		if i < 8 { // beside the others
			c.set(last-i, 8, dark)
		} else {
			c.set(8, c.size-15+i, dark)
		}
	}
	c.set(8, c.size-8, true)
	if version < 7 {
		return
	}
	number := withCheck(version, 12, 0x1f25)
	for i := range 18 {
		c.set(c.size-11+i%3, i/3, number>>i&1 > 0)
		c.set(i/3, c.size-11+i%3, number>>i&1 > 0)
	}
}

// square draws a pattern of square rings.
func (c *qrCode) square(x, y, rings int, dark func(ring int) bool) {
	for dy := -rings; dy <= rings; dy++ {
		for dx := -rings; dx <= rings; dx++ {
			c.set(x+dx, y+dy, dark(max(dx, -dx, dy, -dy)))
		}
	}
}

// withCheck returns a value with the bits of a BCH code behind it.
func withCheck(value, bits, generator int) int {
	rest := value
	for range bits {
		rest = rest<<1 ^ rest>>(bits-1)*generator
	}
	return value<<bits | rest
}

// drawText draws codewords in columns of two modules, from the right and alternately upwards and downwards. Mask 0 is
// laid over them.
func (c *qrCode) drawText(codewords []byte) {
	i := 0
	for right := c.size - 1; right > 0; right -= 2 {
		if right == 6 { // the column of a fixed pattern
			right = 5
		}
		for step := range c.size {
			y := step
			if (right+1)&2 == 0 {
				y = c.size - 1 - step
			}
			for x := right; x > right-2; x-- {
				if c.fixed[y*c.size+x] {
					continue
				}
				dark := i/8 < len(codewords) && codewords[i/8]>>(7-i%8)&1 > 0
				c.dark[y*c.size+x] = dark != ((x+y)%2 == 0)
				i++
			}
		}
	}
}
