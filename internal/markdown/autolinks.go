package markdown

import (
	"strings"
)

// autolink reads <https://example.com> or <a@example.com>, and returns its length, or 0 if it is neither.
func autolink(text string) (destination string, size int) {
	end := 1
	for end < len(text) && text[end] > ' ' && text[end] != 0x7F && text[end] != '<' && text[end] != '>' {
		end++
	}
	if end == len(text) || text[end] != '>' {
		return "", 0
	}
	inside := text[1:end]
	if scheme, _, ok := strings.Cut(inside, ":"); ok && isScheme(scheme) {
		return inside, end + 1
	}
	if local, domain, ok := strings.Cut(inside, "@"); ok && local != "" && isDomain(domain) &&
		strings.TrimLeft(local, alphanumeric+".!#$%&'*+/=?^_`{|}~-") == "" {
		return "mailto:" + inside, end + 1
	}
	return "", 0
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func isScheme(text string) bool {
	return len(text) >= 2 && len(text) <= 32 && isLetter(text[0]) && strings.TrimLeft(text, alphanumeric+"+.-") == ""
}

func isDomain(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.TrimLeft(label, alphanumeric+"-") != "" {
			return false
		}
	}
	return true
}

// bareLink returns the link that begins where the parser is, without brackets around: GitHub's extended autolinks. It
// is nil if none does.
func (in *inlineParser) bareLink() *Node {
	c := in.text[in.at]
	if !isLetter(c) && !isDigit(c) || in.brackets != nil ||
		in.at > 0 && strings.IndexByte(" \t\n*_~(", in.text[in.at-1]) < 0 {
		return nil
	}
	text := in.text[in.at:]
	prefix, size := "", 0
	switch {
	case hasScheme(text):
		size = bareURL(text, strings.Index(text, "//")+2)
	case len(text) > 4 && strings.EqualFold(text[:4], "www."):
		prefix, size = "http://", bareURL(text, 0)
	default:
		prefix, size = "mailto:", bareAddress(text)
	}
	if size == 0 {
		return nil
	}
	link := &Node{Kind: Link, Destination: prefix + text[:size]}
	link.Append(&Node{Kind: Text, Text: text[:size]})
	return link
}

func hasScheme(text string) bool {
	for _, scheme := range []string{"http://", "https://", "ftp://"} {
		if len(text) > len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// bareURL returns the length of a URL whose host begins at an index, or 0 if it has no host with a dot in it.
func bareURL(text string, host int) int {
	end := host
	for end < len(text) && (isLetter(text[end]) || isDigit(text[end]) || text[end] >= 0x80 ||
		strings.IndexByte("-_.", text[end]) >= 0) {
		end++
	}
	labels := strings.Split(strings.TrimRight(text[host:end], "."), ".")
	if len(labels) < 2 || labels[0] == "" || strings.Contains(labels[len(labels)-1]+labels[len(labels)-2], "_") {
		return 0
	}
	for end < len(text) && text[end] > ' ' && text[end] != '<' {
		end++
	}
	return host + trimURL(text[host:end])
}

// trimURL returns the length of a URL without the punctuation behind it, which belongs to the sentence.
func trimURL(url string) int {
	open, closed := strings.Count(url, "("), strings.Count(url, ")")
	for end := len(url); end > 0; {
		switch c := url[end-1]; {
		case strings.IndexByte("?!.,:*_~'\"", c) >= 0:
			end--
		case c == ')' && closed > open:
			closed--
			end--
		case c == ';':
			name := strings.TrimRight(url[max(0, end-33):end-1], alphanumeric)
			reference := url[max(0, end-33)+len(name) : end-1]
			if end--; strings.HasSuffix(name, "&") && reference != "" {
				end -= len("&" + reference)
			}
		default:
			return end
		}
	}
	return 0
}

// maxLocal is how long the part of an address before the @ may be (RFC 5321, section 4.5.3.1.1).
const maxLocal = 64

// bareAddress returns the length of the email address that a text begins with, or 0.
func bareAddress(text string) int {
	at := 0
	for at < len(text) && at <= maxLocal && (isLetter(text[at]) || isDigit(text[at]) ||
		strings.IndexByte(".-_+", text[at]) >= 0) {
		at++
	}
	if at == 0 || at == len(text) || text[at] != '@' {
		return 0
	}
	end := at + 1
	for end < len(text) && (isLetter(text[end]) || isDigit(text[end]) || strings.IndexByte(".-_", text[end]) >= 0) {
		end++
	}
	domain := strings.TrimRight(text[at+1:end], ".")
	if !strings.Contains(domain, ".") || strings.HasSuffix(domain, "-") || strings.HasSuffix(domain, "_") {
		return 0
	}
	return at + 1 + len(domain)
}
