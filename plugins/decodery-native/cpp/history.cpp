#include "history.hpp"

#include <algorithm>

namespace decodery {

uint64_t Grams::hash(int64_t end) const {
    uint64_t sum = 0xcbf29ce484222325u;
    for (int64_t i = end - length_; i < end; ++i) sum = (sum ^ static_cast<uint32_t>(tokens_[i])) * 0x100000001b3u;
    return sum ^ (sum >> 29);
}

int64_t Grams::slot(int64_t end) const {
    const int64_t mask = static_cast<int64_t>(table_.size()) - 1;
    for (int64_t at = static_cast<int64_t>(hash(end)) & mask;; at = (at + 1) & mask) {
        const int32_t place = table_[at];
        if (place == kEmpty) return at;
        if (place == kGone) continue;
        if (std::equal(tokens_.begin() + (end - length_), tokens_.begin() + end, tokens_.begin() + (place - length_)))
            return at;
    }
}

void Grams::grow() {
    size_t size = 64;
    while (size < 4 * tokens_.size()) size *= 2;
    table_.assign(size, kEmpty);
    used_ = 0;
    for (int64_t place = length_; place < static_cast<int64_t>(tokens_.size()); ++place) {
        int32_t& head = table_[slot(place)];
        used_ += head == kEmpty;
        head = static_cast<int32_t>(place);
    }
}

void Grams::append(int32_t token) {
    const int64_t end = static_cast<int64_t>(tokens_.size());
    int32_t earlier = kEmpty;
    if (end >= length_) {
        if (2 * used_ >= static_cast<int64_t>(table_.size())) grow();
        int32_t& head = table_[slot(end)];
        used_ += head == kEmpty;
        earlier = head;
        head = static_cast<int32_t>(end);
    }
    tokens_.push_back(token);
    before_.push_back(earlier);
}

void Grams::undo() {
    const int32_t earlier = before_.back();
    tokens_.pop_back();
    before_.pop_back();
    const int64_t end = static_cast<int64_t>(tokens_.size());
    if (end < length_) return;
    // The place that goes is the gram's last: the table still has it, and its tokens are all before it.
    int32_t& head = table_[slot(end)];
    head = earlier == kEmpty ? kGone : earlier;
}

void Grams::followers(std::vector<Follower>& found) const {
    found.clear();
    const int64_t end = static_cast<int64_t>(tokens_.size());
    if (end < length_) return;
    for (int32_t place = table_[slot(end)]; place >= 0; place = before_[place])
        found.push_back({tokens_[place], static_cast<int32_t>(length_)});
}

int32_t Repeats::add(int32_t length) {
    link_.push_back(0);
    length_.push_back(length);
    first_.push_back(-1);
    return static_cast<int32_t>(link_.size()) - 1;
}

void Repeats::connect(int32_t state, int32_t token, int32_t target) {
    const int32_t place = static_cast<int32_t>(edges_.size());
    edges_.push_back({state, token, target, first_[state]});
    first_[state] = place;
    places_[static_cast<uint64_t>(state) << 32 | static_cast<uint32_t>(token)] = place;
}

int32_t Repeats::edge(int32_t state, int32_t token) const {
    const auto at = places_.find(static_cast<uint64_t>(state) << 32 | static_cast<uint32_t>(token));
    return at == places_.end() ? -1 : at->second;
}

// Lengthen the match by a token, in the automaton of the text before it, so that it ends earlier.
void Repeats::follow(int32_t token) {
    int32_t state = state_, length = matched_;
    while (state && edge(state, token) < 0) {
        state = link_[state];
        length = length_[state];
    }
    const int32_t found = edge(state, token);
    state = found < 0 ? 0 : edges_[found].target;
    length = found < 0 ? 0 : static_cast<int32_t>(std::min<int64_t>(length + 1, longest_));
    while (state && length_[link_[state]] >= length) state = link_[state];
    state_ = state;
    matched_ = length;
}

void Repeats::extend(int32_t token, Step& step) {
    const int32_t made = add(length_[last_] + 1);
    int32_t state = last_;
    for (; state >= 0 && edge(state, token) < 0; state = link_[state]) connect(state, token, made);
    if (state >= 0) {
        int32_t target = edges_[edge(state, token)].target;
        if (length_[target] != length_[state] + 1) {
            const int32_t clone = add(length_[state] + 1);
            for (int32_t at = first_[target]; at >= 0; at = edges_[at].next)
                connect(clone, edges_[at].token, edges_[at].target);
            link_[clone] = link_[target];
            step.moved = target;
            step.link = link_[target];
            for (; state >= 0; state = link_[state]) {
                const int32_t at = edge(state, token);
                if (at < 0 || edges_[at].target != target) break;
                changes_.push_back({at, target});
                edges_[at].target = clone;
            }
            link_[target] = clone;
            if (state_ == target && matched_ <= length_[clone]) state_ = clone;
            target = clone;
        }
        link_[made] = target;
    }
    last_ = made;
}

void Repeats::append(int32_t token) {
    Step step{last_, state_, matched_, -1, 0, link_.size(), edges_.size(), changes_.size()};
    follow(token);
    if (breakers_.count(token)) state_ = matched_ = 0;
    extend(token, step);
    steps_.push_back(step);
}

void Repeats::undo() {
    const Step step = steps_.back();
    steps_.pop_back();
    if (step.moved >= 0) link_[step.moved] = step.link;
    for (; changes_.size() > step.changes; changes_.pop_back()) edges_[changes_.back().first].target = changes_.back().second;
    for (; edges_.size() > step.edges; edges_.pop_back()) {
        const Edge& gone = edges_.back();
        places_.erase(static_cast<uint64_t>(gone.state) << 32 | static_cast<uint32_t>(gone.token));
        first_[gone.state] = gone.next;
    }
    link_.resize(step.states);
    length_.resize(step.states);
    first_.resize(step.states);
    last_ = step.last;
    state_ = step.state;
    matched_ = step.matched;
}

void Repeats::followers(std::vector<Follower>& found) const {
    found.clear();
    std::unordered_set<int32_t> seen;
    int32_t state = state_, length = matched_;
    // Shorter ends are further up; what follows a longer one follows them too, and keeps the longer length.
    while (state && length >= least_) {
        for (int32_t at = first_[state]; at >= 0; at = edges_[at].next) {
            const int32_t token = edges_[at].token;
            if (!breakers_.count(token) && seen.insert(token).second) found.push_back({token, length});
        }
        state = link_[state];
        length = length_[state];
    }
}

}  // namespace decodery
