#pragma once

#include <string>
#include <string_view>

namespace musaic {

std::string format_bytes(double bytes);                         // "512 B", "1.2 MiB"
std::string format_count(double count, std::string_view unit);  // "731 OP", "1.42 GOP"
std::string format_ops(double count);                           // format_count in OP
std::string format_seconds(double seconds);                     // "850 ns", "2.91 ms"
std::string without_namespace(std::string_view op);             // "aten::linear" → "linear"

}  // namespace musaic
