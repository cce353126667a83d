#include "tensor/device.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

struct Spelling {
  const char* text;
  Device device;
};

TEST(Device, IsReadInEachSpellingAndWrittenShort) {
  const Spelling spellings[] = {
      {"cpu", {}},
      {"cpu:0", {}},
      {"device(type='cpu')", {}},
      {"cuda", {"cuda", -1}},
      {"cuda:0", {"cuda", 0}},
      {"device(type='cuda', index=0)", {"cuda", 0}},
      {"musa:1", {"musa", 1}},
      {" musa:1 ", {"musa", 1}},
      {"device(type='musa', index=1)", {"musa", 1}},
      {"device(type=\"musa\",index=1)", {"musa", 1}},
      {"device( type = 'musa' , index = 1 )", {"musa", 1}},
      {"torch.device('musa:1')", {"musa", 1}},
      {"torch.device(type='musa', index=1)", {"musa", 1}},
      {"my_npu2:15", {"my_npu2", 15}},
      {"device(type='my_npu2', index=15)", {"my_npu2", 15}},
  };
  for (const Spelling& spelling : spellings) {
    const auto device = parse_device(spelling.text);
    ASSERT_TRUE(device.has_value()) << spelling.text;
    EXPECT_EQ(*device, spelling.device) << spelling.text;
    EXPECT_EQ(parse_device(to_string(*device)), device) << spelling.text;
  }
  EXPECT_EQ(to_string(Device{}), "cpu");
  EXPECT_EQ(to_string(Device{"cuda", 0}), "cuda:0");
  EXPECT_EQ(to_string(Device{"musa", 1}), "musa:1");
  EXPECT_EQ(to_string(Device{"my_npu2", -1}), "my_npu2");
}

TEST(Device, TextThatNamesNoDeviceIsRefused) {
  for (const char* text : {"",
                           " ",
                           ":0",
                           "cuda:",
                           "cuda:x",
                           "cuda:-1",
                           "cuda:0:1",
                           "cuda:0x",
                           "cuda: 0",
                           "cuda:99999999999",
                           "cpu:1",
                           "0cuda",
                           "cu da:0",
                           "cu'da",
                           "'cuda:0",
                           "cu-da",
                           "device()",
                           "device(type=)",
                           "device(type='musa'",
                           "device(type='musa', index=)",
                           "device(type='musa', index='x')",
                           "device(type='musa', 0)",
                           "device(index=0)",
                           "device(index=0, type='musa')",
                           "torch.device",
                           "torch.cuda:0"}) {
    EXPECT_EQ(parse_device(text), std::nullopt) << text;
  }
}

TEST(Device, TypeAndIndexTellDevicesApart) {
  EXPECT_FALSE((Device{"cuda", 0} == Device{"cuda", 1}));
  EXPECT_FALSE((Device{"cuda", 0} == Device{"musa", 0}));
  EXPECT_FALSE((Device{"cuda", 0} == Device{"cuda", -1}));
}

}  // namespace
}  // namespace musaic
