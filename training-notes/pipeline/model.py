"""Step 6: the module that is trained and exported.

Intent(bert)(input_ids, attention_mask) -> logits [batch, labels], embedding [batch, 384] and match
[batch, 64], the last two of length 1. All three read the mean of the last hidden states over real tokens.
"""
import torch
from torch import nn

MATCH = 64


class Intent(nn.Module):
    def __init__(self, bert, labels):
        super().__init__()
        hidden = bert.config.hidden_size
        self.bert = bert
        self.drop = nn.Dropout(0.1)
        self.classify = nn.Linear(hidden, labels)
        self.project = nn.Linear(hidden, MATCH)
        self.bert.embeddings.word_embeddings.weight.requires_grad = False

    def forward(self, input_ids, attention_mask):
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        embedding = nn.functional.normalize(pooled, dim=-1)
        match = nn.functional.normalize(self.project(embedding), dim=-1)
        return self.classify(self.drop(pooled)), embedding, match


def batches(ids, size, length, order=None):
    """Index batches of texts of similar length; `order` is the order in which texts come."""
    order = list(range(len(ids))) if order is None else order
    out = []
    for start in range(0, len(order), size * 32):
        chunk = sorted(order[start : start + size * 32], key=lambda i: min(len(ids[i]), length))
        out += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    return out


def pad(rows, pad_id=1):
    """Token id lists -> (input_ids, attention_mask) tensors of int64."""
    width = max(len(r) for r in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r)
        mask[i, : len(r)] = 1
    return ids, mask


def cut(ids, length, end=2):
    """Truncates keeping <s> and </s>."""
    return ids if len(ids) <= length else ids[: length - 1] + [end]
