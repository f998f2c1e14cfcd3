package words

import (
	"fmt"
	"strings"
)

const (
	mostValues = 8   // elements of a list that Claim names
	mostValue  = 100 // characters of one
)

// Claim says briefly what a claim holds, as decoded from JSON: text stands between quotation marks.
func Claim(value any) string {
	switch v := value.(type) {
	case []any:
		if len(v) == 0 {
			return "an empty list"
		}
		texts := make([]string, 0, mostValues+1)
		for _, element := range v[:min(len(v), mostValues)] {
			texts = append(texts, Claim(element))
		}
		if len(v) > mostValues {
			texts = append(texts, fmt.Sprintf("and %d more", len(v)-mostValues))
		}
		return strings.Join(texts, ", ")
	case map[string]any:
		return "an object"
	case string:
		return "“" + Line(v, mostValue) + "”"
	}
	return Line(fmt.Sprint(value), mostValue)
}
