package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"usher/faq"
)

// FAQImport says what became of every row of a file.
type FAQImport = faqImport

// FAQImport creates and replaces entries of the FAQ, or says what it would do.
func (c *Client) FAQImport(ctx context.Context, format faq.Format, file []byte, language string, dryRun bool) (FAQImport, error) {
	mediaType := map[faq.Format]string{faq.CSV: "text/csv", faq.Markdown: "text/markdown", faq.JSON: "application/x-ndjson"}[format]
	q := url.Values{"dry_run": {strconv.FormatBool(dryRun)}}
	if language != "" {
		q.Set("language", language)
	}
	var out FAQImport
	err := c.do(ctx, http.MethodPost, "/v1/faq/import?"+q.Encode(), mediaType, file, &out)
	return out, err
}

// FAQSearch says what the bot would do with a text.
func (c *Client) FAQSearch(ctx context.Context, text, language string) (FAQSearch, error) {
	var out FAQSearch
	err := c.Do(ctx, http.MethodPost, "/v1/faq/search", faqSearchRequest{Text: text, Language: language}, &out)
	return out, err
}
