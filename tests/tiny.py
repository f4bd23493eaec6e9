"""Encoders and corpora small enough for a test, in the form of the real ones."""

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hybrid_batch.data.corpora import Corpus
from hybrid_batch.data.table import table

torch.set_num_threads(1)  # tensors this small are slower on several
WORDS = [f"w{number}" for number in range(60)] + ["query:", "passage:"]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]


def encoder(folder, seed=0, prompts=True):
    """A two-layer BERT over a vocabulary of words, saved in ``folder`` and loaded from it."""
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(SPECIAL + WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    torch.manual_seed(seed)
    model = BertModel(BertConfig(vocab_size=len(SPECIAL + WORDS), hidden_size=16, num_hidden_layers=2,
                                 num_attention_heads=2, intermediate_size=32, max_position_embeddings=32))
    parts = folder / "parts"
    model.save_pretrained(parts)
    PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", unk_token="<unk>", cls_token="<s>",
                            sep_token="</s>", model_max_length=32).save_pretrained(parts)
    made = SentenceTransformer(modules=[Transformer(str(parts)), Pooling(16), Normalize()], device="cpu",
                               prompts={"query": "query: ", "passage": "passage: ", "document": "passage: "} if prompts else None)
    made.save(str(folder / "tiny-e5"))
    return SentenceTransformer(str(folder / "tiny-e5"), device="cpu")


def corpus(items=24, languages=("de", "en", "th"), negatives=0, task="qa"):
    """Item i in language l is asked and answered in words of its own, so it can be learnt."""
    rows = []
    for item in range(items):
        for shift, language in enumerate(languages):
            word = lambda n: WORDS[(7 * item + 3 * shift + n) % 60]  # noqa: E731
            rows.append(dict(item=f"{task}{item}", group=f"{task}g{item}", language=language, task=task,
                             query=f"{word(0)} {word(1)} w{item % 60}", passage=f"{word(2)} w{item % 60} {word(5)} {word(9)}",
                             negatives=[f"{word(4)} {word(11 + n)} {word(20 + n)}" for n in range(negatives)]))
    return Corpus(f"tiny-{task}", Dataset(table(rows)), f"{task}{items}")
