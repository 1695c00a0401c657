package email

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

func unescape(s string) string { return html.UnescapeString(s) }

// Stripped returns what the sender himself wrote: without quotations and the lines
// that introduce them (zh en de fr es pt, and the separators of common programs),
// and without his signature. What he wrote between and below quoted lines is his;
// only where a quotation is not marked does all below its introduction belong to
// it. A mail that is nothing but a quotation is returned whole: something is better
// than nothing.
func Stripped(text string) string {
	lines := strings.Split(text, "\n")
	kept := []string{}
	hole := false // something was left out since the last line that shows anything
	for i := 0; i < len(lines); i++ {
		l := strings.TrimSpace(lines[i])
		if l == "--" || strings.HasPrefix(strings.TrimLeft(lines[i], " "), "-- ") && len(l) <= 3 {
			break
		}
		if n, sure := introduces(lines[i:]); n > 0 {
			below := i + n
			for below < len(lines) && strings.TrimSpace(lines[below]) == "" {
				below++
			}
			marked := below < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[below]), ">")
			if !marked && sure {
				break
			}
			if marked {
				i, hole = below-1, true
				continue
			}
		}
		switch {
		case strings.HasPrefix(l, ">"):
			hole = true
		case l == "" && hole && len(kept) > 0 && kept[len(kept)-1] == "":
		default:
			hole = hole && l == ""
			kept = append(kept, strings.TrimRight(lines[i], " \t"))
		}
	}
	kept = withoutSentFrom(kept)
	if s := strings.TrimSpace(strings.Join(kept, "\n")); s != "" {
		return s
	}
	return strings.TrimSpace(text)
}

// What introduces a quotation: a line that says who wrote, and when or from where; its form in two lines;
// a line of a program; and the header of the mail that is quoted, from its From on.
var (
	whoWrote = regexp.MustCompile(`(?i)^(` +
		`on\b.{4,200}\bwrote:|am\b.{4,200}\bschrieb\b.{0,120}:|le\b.{4,200}\ba écrit\s*:|el\b.{4,200}\bescribió:|em\b.{4,200}\bescreveu:|` +
		`.{0,200}(于|在).{4,60}(写道|寫道)\s*[:：]|.{4,200}(写道|寫道)\s*[:：])$`)
	firstOfTwo = regexp.MustCompile(`(?i)^(on\b|am\b|le\b|el\b|em\b|在|于).{4,200}$`)
	wroteLine  = regexp.MustCompile(`(?i)(wrote|schrieb|a écrit|escribió|escreveu|写道|寫道)\s*[:：]$`)
	separator  = regexp.MustCompile(`(?i)^(` +
		`-{2,}\s*(original message|original-nachricht|ursprüngliche nachricht|message d'origine|message transféré|mensaje original|mensagem original|原始邮件|原始郵件|转发的邮件|forwarded message|weitergeleitete nachricht)\s*-{2,}|` +
		`begin forwarded message:)$`)
	rule        = regexp.MustCompile(`^(_{10,}|-{10,})$`)
	headerLine  = regexp.MustCompile(`(?i)^\*?(from|von|de|发件人|寄件者|寄件人)\*?\s*[:：].+`)
	sentLine    = regexp.MustCompile(`(?i)^\*?(sent|gesendet|envoyé|enviado|enviada|enviado em|enviado el|发送时间|发送日期|寄件日期|傳送時間)\*?\s*[:：].+`)
	dateLine    = regexp.MustCompile(`(?i)^\*?(date|datum|fecha|data|日期|时间|時間)\*?\s*[:：].+`)
	otherLine   = regexp.MustCompile(`(?i)^\*?(to|an|à|para|收件人|cc|kopie|copie|抄送|副本)\*?\s*[:：].+`)
	subjectLine = regexp.MustCompile(`(?i)^\*?(subject|betreff|objet|asunto|assunto|主题|主旨|主題)\*?\s*[:：]`)
	sentFrom    = regexp.MustCompile(`(?i)^(sent from my .{2,40}|get outlook for .{2,20}|von meinem .{2,40} gesendet|envoyé de mon .{2,40}|enviado desde mi .{2,40}|enviado do meu .{2,40}|发自我的.{1,30}|從我的.{1,30}傳送|来自我的.{1,30}|发自我的iphone)$`)
)

// maxLine bounds the lines that are looked at, in bytes: no program introduces at such length.
const maxLine = 400

// introduces returns how many of the first lines introduce a quotation; 0 = none.
// sure is false when they may be words of the sender unless quoted lines follow.
func introduces(lines []string) (n int, sure bool) {
	at := func(i int) string {
		if i < len(lines) && len(lines[i]) <= maxLine {
			return strings.TrimSpace(lines[i])
		}
		return ""
	}
	line, next := at(0), at(1)
	switch {
	case line == "":
		return 0, false
	case separator.MatchString(line):
		return 1, true
	case whoWrote.MatchString(line):
		return 1, strings.ContainsAny(line, "@0123456789")
	case firstOfTwo.MatchString(line) && len(line) < 200 && wroteLine.MatchString(next) && !strings.HasSuffix(line, "."):
		return 2, strings.ContainsAny(line+next, "@0123456789")
	case rule.MatchString(line):
		below := 1
		for below < len(lines) && strings.TrimSpace(lines[below]) == "" {
			below++
		}
		if n = quotedHeader(lines[below:]); n > 0 {
			n += below
		}
		return n, true
	default:
		return quotedHeader(lines), true
	}
}

// quotedHeader returns how many of the first lines are the header of a quoted mail:
// From, and when it was sent, or date and subject. From and To alone may be a
// journey, From and Subject a form.
func quotedHeader(lines []string) int {
	if len(lines) == 0 || len(lines[0]) > maxLine || !headerLine.MatchString(strings.TrimSpace(lines[0])) {
		return 0
	}
	sent, date, subject := false, false, false
	n := 1
lines:
	for ; n < len(lines) && len(lines[n]) <= maxLine; n++ {
		switch l := strings.TrimSpace(lines[n]); {
		case sentLine.MatchString(l):
			sent = true
		case dateLine.MatchString(l):
			date = true
		case subjectLine.MatchString(l):
			subject = true
		case !otherLine.MatchString(l):
			break lines
		}
	}
	if sent || date && subject {
		return n
	}
	return 0
}

// withoutSentFrom drops the line that a telephone adds.
func withoutSentFrom(lines []string) []string {
	for i, l := range slices.Backward(lines) {
		switch l = strings.TrimSpace(l); {
		case l == "":
		case sentFrom.MatchString(l):
			return lines[:i]
		default:
			return lines
		}
	}
	return lines
}
