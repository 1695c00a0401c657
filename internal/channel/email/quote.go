package email

import (
	"html"
	"regexp"
	"slices"
	"strings"
)

func unescape(s string) string { return html.UnescapeString(s) }

// Stripped returns what the sender himself wrote: the text above the first line
// that introduces a quotation (zh en de fr es pt, and the separators of common
// programs), without quoted lines and without his signature. A mail that is
// nothing but a quotation is returned whole: something is better than nothing.
func Stripped(text string) string {
	lines := strings.Split(text, "\n")
	end := len(lines)
	for i, l := range lines {
		l = strings.TrimSpace(l)
		next := ""
		if i+1 < len(lines) {
			next = strings.TrimSpace(lines[i+1])
		}
		if introduces(l, next) || l == "--" || strings.HasPrefix(strings.TrimLeft(lines[i], " "), "-- ") && len(l) <= 3 {
			end = i
			break
		}
	}
	kept := []string{}
	for _, l := range lines[:end] {
		if strings.HasPrefix(strings.TrimSpace(l), ">") {
			continue
		}
		kept = append(kept, strings.TrimRight(l, " \t"))
	}
	kept = withoutSentFrom(kept)
	if s := strings.TrimSpace(strings.Join(kept, "\n")); s != "" {
		return s
	}
	return strings.TrimSpace(text)
}

// introduction matches a line before a quotation; wrote matches its two-line form.
var (
	introduction = regexp.MustCompile(`(?i)^(` +
		`on\b.{4,200}\bwrote:|am\b.{4,200}\bschrieb\b.{0,120}:|le\b.{4,200}\ba écrit\s*:|el\b.{4,200}\bescribió:|em\b.{4,200}\bescreveu:|` +
		`.{0,200}(于|在).{4,60}(写道|寫道)\s*[:：]|.{4,200}(写道|寫道)\s*[:：]|` +
		`-{2,}\s*(original message|original-nachricht|ursprüngliche nachricht|message d'origine|message transféré|mensaje original|mensagem original|原始邮件|原始郵件|转发的邮件|forwarded message|weitergeleitete nachricht)\s*-{2,}|` +
		`_{10,}|-{10,}|begin forwarded message:)$`)
	firstOfTwo = regexp.MustCompile(`(?i)^(on\b|am\b|le\b|el\b|em\b|在|于).{4,200}$`)
	wroteLine  = regexp.MustCompile(`(?i)(wrote|schrieb|a écrit|escribió|escreveu|写道|寫道)\s*[:：]$`)
	headerLine = regexp.MustCompile(`(?i)^\*?(from|von|de|发件人|寄件者|寄件人)\*?\s*[:：].+`)
	sentLine   = regexp.MustCompile(`(?i)^\*?(sent|date|gesendet|datum|envoyé|date|enviado|fecha|data|发送时间|日期|寄件日期|to|an|à|para|收件人)\*?\s*[:：].+`)
	sentFrom   = regexp.MustCompile(`(?i)^(sent from my .{2,40}|get outlook for .{2,20}|von meinem .{2,40} gesendet|envoyé de mon .{2,40}|enviado desde mi .{2,40}|enviado do meu .{2,40}|发自我的.{1,30}|從我的.{1,30}傳送|来自我的.{1,30}|发自我的iphone)$`)
)

func introduces(line, next string) bool {
	switch {
	case line == "" || len(line) > 400 || len(next) > 400: // no program introduces at such length
		return false
	case introduction.MatchString(line):
		return true
	case firstOfTwo.MatchString(line) && len(line) < 200 && wroteLine.MatchString(next) && !strings.HasSuffix(line, "."):
		return true
	default:
		return headerLine.MatchString(line) && sentLine.MatchString(next)
	}
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
