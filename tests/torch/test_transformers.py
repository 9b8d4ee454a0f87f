"""Models of Hugging Face's transformers, from a configuration and with random weights: npu against cpu."""

import copy
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch

from common import Case, main

import transformers  # noqa: E402
from transformers import (  # noqa: E402
    BertConfig, BertForMaskedLM, LlamaConfig, LlamaForCausalLM, ViTConfig, ViTForImageClassification,
)

transformers.logging.set_verbosity_error()


def llama():
    config = LlamaConfig(
        vocab_size=199, hidden_size=64, intermediate_size=172, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config).eval()


class Transformers(Case):
    def compare(self, model, inputs, tol=1e-4):
        """Results, loss and the gradients of all weights, then weights after three steps."""
        twin = copy.deepcopy(model).npu()
        placed = {name: value.npu() for name, value in inputs.items()}
        optimisers = [torch.optim.AdamW(m.parameters(), 1e-3) for m in (model, twin)]
        for step in range(3):
            want, have = model(**inputs), twin(**placed)
            torch.testing.assert_close(have.logits.cpu(), want.logits, rtol=tol, atol=tol)
            torch.testing.assert_close(have.loss.cpu(), want.loss, rtol=tol, atol=tol)
            for optimiser, loss in zip(optimisers, (want.loss, have.loss)):
                optimiser.zero_grad()
                loss.backward()
            if step == 0:
                for (name, p), q in zip(model.named_parameters(), twin.parameters()):
                    self.assertEqual(p.grad is None, q.grad is None, name)
                    if p.grad is not None:
                        torch.testing.assert_close(q.grad.cpu(), p.grad, rtol=10 * tol, atol=tol, msg=lambda m: f"{name}: {m}")
            for optimiser in optimisers:
                optimiser.step()
        print(f"{self.id()}: loss {have.loss.item():.4f}, off by {abs(have.loss.item() - want.loss.item()):.1e}")

    def test_llama(self):
        text = torch.randint(3, 199, (2, 24))
        # Behind the text: where a row sees nothing, transformers itself computes other things on an NPU than on the cpu.
        mask = torch.ones_like(text)
        mask[1, 19:] = 0
        labels = text.masked_fill(mask == 0, -100)
        self.compare(llama(), {"input_ids": text, "attention_mask": mask, "labels": labels})

    def test_llama_generates(self):
        model = llama()
        twin = copy.deepcopy(model).npu()
        text = torch.randint(3, 199, (2, 9))
        mask = torch.ones_like(text)
        mask[0, :4] = 0
        for arguments in (
            {"do_sample": False}, {"do_sample": False, "num_beams": 3}, {"do_sample": False, "use_cache": False},
        ):
            with self.subTest(arguments):
                wanted, got = (
                    m.generate(x, attention_mask=a, max_new_tokens=20, **arguments)
                    for m, x, a in ((model, text, mask), (twin, text.npu(), mask.npu()))
                )
                self.assertEqual(got.cpu().tolist(), wanted.tolist())

    def test_llama_draws(self):
        model = llama().npu()
        torch.manual_seed(3)
        text = torch.randint(3, 199, (1, 9), device="npu")
        drawn = model.generate(text, max_new_tokens=12, min_new_tokens=12, do_sample=True, top_k=20, top_p=0.9)
        self.assertEqual(drawn.shape, (1, 21))
        self.assertTrue(((drawn >= 0) & (drawn < 199)).all().item())

    def test_llama_in_bfloat16(self):
        model = llama()
        twin = copy.deepcopy(model).to("npu", torch.bfloat16)
        text = torch.randint(3, 199, (2, 24))
        with torch.no_grad():
            want, have = model(text).logits, twin(text.npu()).logits
        self.assertEqual(have.dtype, torch.bfloat16)
        torch.testing.assert_close(have.float().cpu(), want, rtol=5e-2, atol=5e-2)

    def test_bert(self):
        config = BertConfig(
            vocab_size=120, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
            max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
        torch.manual_seed(0)
        text = torch.randint(3, 120, (3, 20))
        mask = torch.ones_like(text)
        mask[0, 15:] = 0
        labels = text.masked_fill(torch.rand(text.shape) > 0.2, -100)
        self.compare(BertForMaskedLM(config), {"input_ids": text, "attention_mask": mask, "labels": labels})

    def test_vit(self):
        config = ViTConfig(
            hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, image_size=32,
            patch_size=8, num_labels=7, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
        torch.manual_seed(0)
        images, labels = torch.randn(3, 3, 32, 32), torch.tensor([1, 6, 0])
        self.compare(ViTForImageClassification(config), {"pixel_values": images, "labels": labels})


if __name__ == "__main__":
    main()
