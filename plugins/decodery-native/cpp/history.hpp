// What followed earlier occurrences of a text's end: kept as tokens come, exact when they are taken back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace decodery {

// A token and how long the end is that it followed before.
struct Follower {
    int32_t token, length;
};

// Ends of one length. A table of the last place where each gram stood, and from each place the one before, as in
// compressors' hash chains: a token costs O(1), the text is its own table of keys.
class Grams {
  public:
    explicit Grams(int64_t length) : length_(length), table_(64, kEmpty) {}
    void append(int32_t token);
    void undo();
    void followers(std::vector<Follower>& found) const;

  private:
    static constexpr int32_t kEmpty = -1, kGone = -2;  // kGone: look on, there may have been a collision
    uint64_t hash(int64_t end) const;
    // The slot of the gram that ends before `end`; an empty one where there is none.
    int64_t slot(int64_t end) const;
    void grow();

    int64_t length_, used_ = 0;  // slots that are not empty
    std::vector<int32_t> tokens_, before_, table_;
};

// Ends of `least` tokens or more, `longest` at most, and not across a breaker: the suffix automaton of the text (Blumer
// et al. 1985), amortised O(1) a token.
class Repeats {
  public:
    Repeats(int64_t least, int64_t longest, const std::vector<int64_t>& breakers)
        : least_(least), longest_(longest), breakers_(breakers.begin(), breakers.end()) {
        add(0);
        link_[0] = -1;
    }
    void append(int32_t token);
    void undo();
    void followers(std::vector<Follower>& found) const;

  private:
    struct Edge {
        int32_t state, token, target, next;  // next: the state's edge before this one, -1 at the first
    };
    struct Step {
        int32_t last, state, matched, moved, link;  // moved: the state whose link was `link`, -1 where there is none
        std::size_t states, edges, changes;
    };
    int32_t add(int32_t length);
    void connect(int32_t state, int32_t token, int32_t target);
    int32_t edge(int32_t state, int32_t token) const;  // -1 where there is none
    void follow(int32_t token);
    void extend(int32_t token, Step& step);

    int64_t least_, longest_;
    std::unordered_set<int64_t> breakers_;
    std::vector<int32_t> link_, length_, first_;  // of each state
    std::vector<Edge> edges_;
    std::unordered_map<uint64_t, int32_t> places_;
    std::vector<Step> steps_;
    std::vector<std::pair<int32_t, int32_t>> changes_;  // edges and what they led to
    int32_t last_ = 0, state_ = 0, matched_ = 0;        // state_ holds the longest earlier end, matched_ long
};

}  // namespace decodery
