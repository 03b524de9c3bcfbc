from trackers.row_pass import passes_of, row_pass


class Owner:
    @row_pass((1, 2))
    def double(self, rows):
        return 2 * rows

    def other(self):
        return 0


def test_a_marked_method_is_found_with_its_sizes_and_stays_what_it_is():
    owner = Owner()
    assert list(passes_of(owner)) == [("double", (1, 2))]
    assert owner.double(3) == 6
