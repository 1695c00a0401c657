package identity_test

import (
	"testing"

	"usher"
	"usher/intake/identity"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, in, region, want string }{
		{"phone", "+86 138 0013 8000", "", "+8613800138000"},
		{"phone", "138-0013-8000", "CN", "+8613800138000"},
		{"phone", "＋８６１３８００１３８０００", "", "+8613800138000"},
		{"phone", "008613800138000", "CN", "+8613800138000"},
		{"phone", "138-0013-8000", "", "138-0013-8000"}, // of which country?
		{"phone", "+5215512345678", "", "+525512345678"},
		{"phone", "+525512345678", "", "+525512345678"},
		{"phone", "+551187654321", "", "+5511987654321"},
		{"phone", "+5511987654321", "", "+5511987654321"},
		{"phone", "+551133334444", "", "+551133334444"}, // a landline has eight digits
		{"phone", "+5491123456789", "", "+541123456789"},
		{"phone", "+541123456789", "", "+541123456789"},
		{"phone", "1", "CN", "1"},
		{"phone", "call me", "CN", "call me"},
		{"phone", "", "CN", ""},
		{"email", " Anna.Bell+shop@Example.COM ", "", "anna.bell+shop@example.com"},
		{"email", "ａｎｎａ@ｅｘａｍｐｌｅ．ｃｏｍ", "", "anna@example.com"},
		{"email", "anna@Bücher.example", "", "anna@xn--bcher-kva.example"},
		{"email", "m", "", "m"},
		{"email", "a b@example.com", "", "a b@example.com"},
		{"email", "@example.com", "", "@example.com"},
		{"openid", "oAbC_x", "", "oAbC_x"},
		{"user_id", "ANNA@example.com", "", "ANNA@example.com"},
	} {
		got := identity.Normalise(usher.Identity{Kind: c.kind, Value: c.in}, c.region)
		if got.Value != c.want || (got.Raw != "") != (c.in != c.want) {
			t.Errorf("%s %q (%s): got %q, raw %q, want %q", c.kind, c.in, c.region, got.Value, got.Raw, c.want)
		}
		if again := identity.Normalise(got, c.region); again != got {
			t.Errorf("%s %q: again becomes %+v", c.kind, c.in, again)
		}
	}
}

func TestRole(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"info@example.com": true, "support+1@example.com": true, "sales2@example.com": true, "no-reply@example.com": true,
		"kefu@example.cn": true, "anna@example.com": false, "infoanna@example.com": false, "desk.anna@example.com": false,
	} {
		if got := identity.Role(in); got != want {
			t.Errorf("%s: %t", in, got)
		}
	}
}

func TestDiffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "Mary", false},
		{"Mary Smith", "mary  smith", false},
		{"Mary Smith", "Mr. John Smith", true},
		{"M. Smith", "Mary Smith", false},
		{"Mary", "Mary Smith", false},
		{"Jhon Smith", "John Smith", false},
		{"Jon Smith", "John Smith", true}, // three letters are too few to forgive one
		{"Johan Smith", "John Smith", false},
		{"Marie Smith", "Maria Smith", true},
		{"Mark Smith", "Mary Smith", true},
		{"Stephen Smith", "Stephan Smith", false},
		{"王伟", "王芳", true},
		{"王总", "王伟", false},
		{"王伟先生", "王伟", false},
		{"王伟", "Wang Wei", false},
	} {
		if got := identity.Differ(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %t", c.a, c.b, got)
		}
		if identity.Differ(c.a, c.b) != identity.Differ(c.b, c.a) || identity.Vague(c.a, c.b) != identity.Vague(c.b, c.a) {
			t.Errorf("%q and %q: it matters who is first", c.a, c.b)
		}
	}
}

func TestVague(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"S. Taylor", "Sarah Taylor", true},
		{"Taylor", "Sarah Taylor", true},
		{"Sarah", "Sarah Taylor", false},
		{"S. Taylor", "S. Taylor", false},
		{"Sarah Taylor", "Sarah Taylor", false},
		{"S. Taylor", "Mary Taylor", false},
		{"王总", "王伟", true},
		{"王伟先生", "王伟", false},
		{"", "王伟", false},
	} {
		if got := identity.Vague(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %t", c.a, c.b, got)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"+8613800138000", "a@b.c", "\xff", "+", "++1", "tel:+1-201-555-0123;ext=5", "@", "a@\u200b.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []string{"phone", "email"} {
			once := identity.Normalise(usher.Identity{Kind: kind, Value: s}, "CN")
			if twice := identity.Normalise(once, "CN"); twice.Value != once.Value {
				t.Errorf("%s %q: %q becomes %q", kind, s, once.Value, twice.Value)
			}
		}
	})
}
