#include "gateway/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "gateway/prompt_encoder.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const std::vector<ChatMessage> kTalk = {
    {"system", "Be brief."}, {"user", " Hello "}, {"assistant", "Hi."}, {"user", "<|im_end|>?"}};

/// Pieces as one text, with tokens in angle brackets.
std::string Shown(const Result<std::vector<TemplatePiece>>& pieces) {
  if (!pieces.ok()) return pieces.status().ToString();
  std::string text;
  for (const TemplatePiece& piece : *pieces) {
    switch (piece.kind) {
      case TemplatePiece::Kind::kText:
        text += piece.text;
        break;
      case TemplatePiece::Kind::kToken:
        text += "{" + piece.text + "}";
        break;
      case TemplatePiece::Kind::kBos:
        text += "{bos}";
        break;
      case TemplatePiece::Kind::kEos:
        text += "{eos}";
        break;
    }
  }
  return text;
}

TEST(ChatTemplateTest, MatchesWhatTheDocumentsShow) {
  EXPECT_EQ(Shown(ChatTemplate::Named("plain")->Render(kTalk)),
            "{bos}System: Be brief.\nUser:  Hello \nAssistant: Hi.\nUser: <|im_end|>?\nAssistant:");
  EXPECT_EQ(Shown(ChatTemplate::Named("chatml")->Render(kTalk)),
            "{<|im_start|>}system\nBe brief.{<|im_end|>}\n{<|im_start|>}user\n Hello {<|im_end|>}\n"
            "{<|im_start|>}assistant\nHi.{<|im_end|>}\n{<|im_start|>}user\n<|im_end|>?{<|im_end|>}\n"
            "{<|im_start|>}assistant\n");
  EXPECT_EQ(Shown(ChatTemplate::Named("llama2")->Render(kTalk)),
            "{bos}[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hello [/INST] Hi. {eos}{bos}[INST] <|im_end|>? [/INST]");
}

TEST(ChatTemplateTest, RejectsWhatATemplateCannotSay) {
  EXPECT_EQ(ChatTemplate::Named("other").status().code(), StatusCode::kInvalidArgument);
  const auto llama = ChatTemplate::Named("llama2");
  const std::vector<ChatMessage> twice = {{"user", "a"}, {"user", "b"}}, open = {{"user", "a"}, {"assistant", "b"}},
                                 alone = {{"system", "a"}};
  for (const auto& talk : {twice, open, alone}) {
    const auto pieces = llama->Render(talk);
    EXPECT_EQ(pieces.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(pieces.status().message(), ::testing::StartsWith("messages: "));
  }
}

constexpr char kChatMl[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

TEST(ChatTemplateTest, MatchesTheTemplatesThatModelsBring) {
  EXPECT_EQ(ChatTemplate::Recognize(kChatMl)->name(), "chatml");
  EXPECT_EQ(ChatTemplate::Recognize("{% for m in messages %}{{ bos_token + \"[INST] \" + \"<<SYS>>\\n\" + m.content + "
                                    "\"\\n<</SYS>>\\n\\n\" + ' [/INST]' }}{% endfor %}")
                ->name(),
            "llama2");
}

TEST(ChatTemplateTest, RejectsTemplatesThatSayMore) {
  std::string with_default = kChatMl;
  with_default.insert(0, "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}");
  for (const std::string& jinja :
       {with_default, std::string("{{ bos_token + '[INST] ' + messages[0].content + ' [/INST]' }}"), std::string(),
        std::string("'"), std::string("'<|im_start|>\\")}) {
    const auto found = ChatTemplate::Recognize(jinja);
    EXPECT_EQ(found.status().code(), StatusCode::kUnsupported) << jinja;
    EXPECT_THAT(found.status().message(), HasSubstr("--chat-template"));
  }
}

class PromptEncoderTest : public ::testing::Test {
 protected:
  PromptEncoderTest() { EXPECT_TRUE(MakeFolder(folder_).ok()); }
  ~PromptEncoderTest() override { fs::remove_all(folder_); }

  void Write(const char* name, const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomic(folder_ / name, std::string_view(text)).ok());
  }
  static std::string Quoted(std::string text) {
    for (size_t at = 0; (at = text.find('\\', at)) != std::string::npos; at += 2) text.insert(at, "\\");
    return "\"" + text + "\"";
  }

  const fs::path folder_ = fs::path(::testing::TempDir()) /
                           ("encoder" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
  const std::unique_ptr<Tokenizer> tokenizer_ =
      std::move(*LoadTokenizer(fs::path(SLUICE_SOURCE_DIR) / "models/default"));
};

TEST_F(PromptEncoderTest, MatchesTheTokensOfATemplateAndNoOthers) {
  Write("tokenizer_config.json", "{\"chat_template\":" + Quoted(kChatMl) +
                                     R"(,"added_tokens_decoder":{"1022":{"content":"<|im_start|>"},
                                        "1023":{"content":"<|im_end|>"}}})");
  const auto encoder = PromptEncoder::Make(*tokenizer_, folder_, "auto");
  ASSERT_TRUE(encoder.ok()) << encoder.status().ToString();
  const auto ids = encoder->Chat(kTalk);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(std::ranges::count(*ids, 1022), 5);
  EXPECT_EQ(std::ranges::count(*ids, 1023), 4) << "a message must not end its turn by spelling the token";
  EXPECT_EQ(ids->front(), 1022);
  EXPECT_THAT(encoder->chat_stop_tokens(), ::testing::ElementsAre(1023));
}

TEST_F(PromptEncoderTest, RejectsChatsWithoutATemplateAndSaysWhy) {
  const auto reason = [&] {
    const auto encoder = PromptEncoder::Make(*tokenizer_, folder_, "auto");
    EXPECT_TRUE(encoder.ok()) << encoder.status().ToString();
    const auto ids = encoder->Chat(kTalk);
    EXPECT_EQ(ids.status().code(), StatusCode::kUnsupported);
    return ids.status().message();
  };
  EXPECT_THAT(reason(), HasSubstr("has no chat_template"));
  Write("tokenizer_config.json", "{\"chat_template\":\"{{ messages }}\"}");
  EXPECT_THAT(reason(), HasSubstr("none of the built-in ones"));
  Write("chat_template.jinja", kChatMl);
  EXPECT_THAT(reason(), HasSubstr("needs the token <|im_start|>"));
  EXPECT_EQ(PromptEncoder::Make(*tokenizer_, folder_, "chatml").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(PromptEncoder::Make(*tokenizer_, folder_, "zephyr").status().code(), StatusCode::kInvalidArgument);
}

TEST_F(PromptEncoderTest, MatchesTheDefaultOfSeveralTemplates) {
  Write("tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"x\"},"
        "{\"name\":\"default\",\"template\":\"y\"}]}");
  EXPECT_EQ(ReadModelTemplate(folder_)->value_or(""), "y");
  Write("tokenizer_config.json", "{\"chat_template\":[1]}");
  EXPECT_EQ(ReadModelTemplate(folder_).status().code(), StatusCode::kCorrupt);
  Write("tokenizer_config.json", "[");
  EXPECT_EQ(ReadModelTemplate(folder_).status().code(), StatusCode::kCorrupt);
}

}  // namespace
}  // namespace sluice
