// Package identity knows how customers are recognised: the one form of a key,
// which keys say nothing of a person, and which customers are one person.
//
// It takes values and returns values: it reads no store and knows no clock.
package identity

import (
	"slices"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers/v2"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"usher"
)

// Normalise returns id in the form in which it is stored and compared; what was
// sent is kept in Raw where that differs. region is the two-letter code whose
// national numbers are understood, "" for none. A phone or an address that
// cannot be read stays as it was sent.
func Normalise(id usher.Identity, region string) usher.Identity {
	var value string
	var ok bool
	switch id.Kind {
	case "phone":
		value, ok = Phone(id.Value, region)
	case "email":
		value, ok = Email(id.Value)
	default: // opaque, and case-sensitive
	}
	if ok && value != id.Value {
		if id.Raw == "" {
			id.Raw = id.Value
		}
		id.Value = value
	}
	return id
}

// Phone returns a number in E.164. The forms that platforms use beside it become
// one: Brazil's mobile numbers with the ninth digit, Argentina's and Mexico's
// without the digit that once marked them.
func Phone(s, region string) (string, bool) {
	s = norm.NFKC.String(s)
	n, err := phonenumbers.Parse(s, region)
	if err != nil {
		return "", false
	}
	e := phonenumbers.Format(n, phonenumbers.E164)
	digits, _ := strings.CutPrefix(e, "+")
	switch {
	case strings.HasPrefix(digits, "55") && len(digits) == 12 && digits[4] >= '6':
		return "+55" + digits[2:4] + "9" + digits[4:], true
	case strings.HasPrefix(digits, "549") && len(digits) == 13:
		return "+54" + digits[3:], true
	case strings.HasPrefix(digits, "521") && len(digits) == 13:
		return "+52" + digits[3:], true
	}
	return e, phonenumbers.IsPossibleNumber(n)
}

// Email returns an address in lower case with its domain in ASCII. Plus-tags and
// dots stay: without them two people would share a key.
func Email(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSpace(norm.NFKC.String(s)))
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 || strings.ContainsFunc(s, unicode.IsSpace) {
		return "", false
	}
	domain, err := idna.Lookup.ToASCII(s[at+1:])
	if err != nil || !strings.Contains(domain, ".") {
		return "", false
	}
	return s[:at+1] + domain, true
}

// roles lists the local parts that name a function and not a person.
func roles() []string {
	return []string{
		"abuse", "account", "accounting", "accounts", "admin", "administrator", "all", "billing", "booking", "bookings",
		"buchhaltung", "career", "careers", "contact", "customer-service", "customercare", "customerservice", "desk", "dev",
		"enquiries", "enquiry", "everyone", "feedback", "finance", "frontdesk", "hello", "help", "helpdesk", "hi", "hostmaster", "hr",
		"info", "information", "inquiries", "inquiry", "invoice", "invoices", "it", "jobs", "kefu", "legal", "list", "mail",
		"mailbox", "mailer-daemon", "manager", "marketing", "media", "news", "newsletter", "no-reply", "noreply", "notification",
		"notifications", "office", "operations", "ops", "order", "orders", "partner", "partners", "post", "postmaster", "press",
		"privacy", "procurement", "purchase", "purchasing", "reception", "recruiting", "returns", "root", "sale", "sales",
		"security", "service", "services", "shop", "staff", "store", "support", "sysadmin", "team", "tech", "test", "user",
		"vertrieb", "web", "webmaster", "welcome",
	}
}

// Role reports whether a normalised address names a function: several people
// read it, and it identifies none of them.
func Role(email string) bool {
	local, _, _ := strings.Cut(email, "@")
	local, _, _ = strings.Cut(local, "+")
	local = strings.TrimRightFunc(local, unicode.IsDigit)
	local = strings.TrimRight(local, "-_.")
	return slices.Contains(roles(), local)
}

// Differ reports whether two names are those of two people: both say one, in the
// same script, and neither is the other shortened, misspelt by a letter or with
// an initial. 王总 may be 王伟; Mary Smith is not John Smith.
func Differ(a, b string) bool { return compare(a, b) == apart }

// Vague reports whether two names may be one only because a part is missing:
// S. Taylor is Sarah or Simon.
func Vague(a, b string) bool { return compare(a, b) == vague }

// How two names compare.
const (
	alike = iota
	vague
	apart
)

func compare(a, b string) int {
	x, y := words(a), words(b)
	if len(x) == 0 || len(y) == 0 || han(x) != han(y) {
		return alike
	}
	if han(x) {
		p, q := strings.Join(x, ""), strings.Join(y, "")
		switch {
		case p == q:
			return alike
		case strings.Contains(p, q) || strings.Contains(q, p):
			return vague
		default:
			return apart
		}
	}
	if len(x) > len(y) {
		x, y = y, x
	}
	worst := alike
	for _, w := range x {
		best := apart
		for _, v := range y {
			best = min(best, word(w, v))
		}
		worst = max(worst, best)
	}
	if worst == alike && len(x) == 1 && len(y) > 1 && x[0] == y[len(y)-1] && x[0] != y[0] {
		return vague // the surname alone
	}
	return worst
}

// words are the parts of a name without titles and marks, in lower case.
func words(name string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(strings.ToLower(norm.NFKC.String(name)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r)
	}) {
		switch w {
		case "mr", "mrs", "ms", "miss", "dr", "prof", "sir", "madam":
			continue
		}
		for _, title := range []string{"先生", "女士", "小姐", "老师", "经理", "太太", "总"} {
			w = strings.TrimSuffix(w, title)
		}
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

func han(words []string) bool {
	for _, w := range words {
		for _, r := range w {
			if unicode.Is(unicode.Han, r) {
				return true
			}
		}
	}
	return false
}

// word compares two parts of a name: alike when equal or one slip apart, which is
// two letters exchanged, one too many or too few (from four letters on), or
// another one (from six on: Mary is not Mark); vague when one is the other's
// initial.
func word(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x) > len(y) {
		x, y = y, x
	}
	switch {
	case a == b:
		return alike
	case len(x) == 1 && x[0] == y[0]:
		return vague
	case len(x) < 4 || len(y)-len(x) > 1:
		return apart
	}
	i := 0
	for i < len(x) && x[i] == y[i] {
		i++
	}
	rest := func(s []rune, from int) string { return string(s[min(from, len(s)):]) }
	var slip bool
	if len(x) < len(y) {
		slip = rest(x, i) == rest(y, i+1)
	} else {
		slip = len(x) >= 6 && rest(x, i+1) == rest(y, i+1) ||
			i+1 < len(x) && x[i] == y[i+1] && x[i+1] == y[i] && rest(x, i+2) == rest(y, i+2)
	}
	if slip {
		return alike
	}
	return apart
}
