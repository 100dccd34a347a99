import { createTheme, MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Fault } from "./api/client.ts";
import { Shell } from "./features/shell.tsx";
import { LanguageProvider } from "./i18n/texts.tsx";

const theme = createTheme({
  primaryColor: "teal",
  defaultRadius: 6,
  cursorType: "pointer",
  components: {
    Button: { defaultProps: { size: "xs" } },
    TextInput: { defaultProps: { size: "xs" } },
    Textarea: { defaultProps: { size: "xs" } },
    Select: { defaultProps: { size: "xs", withCheckIcon: false } },
    Checkbox: { defaultProps: { size: "xs" } },
    SegmentedControl: { defaultProps: { size: "xs" } },
    // Locking the scroll would take an inline style sheet; the page behind does not scroll anyway.
    Modal: {
      defaultProps: { lockScroll: false, centered: true, padding: "lg", transitionProps: { duration: 120 } },
    },
    Menu: { defaultProps: { shadow: "md", transitionProps: { duration: 80 } } },
  },
});

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      // What the server refused it will refuse again; when it does not answer it may be starting.
      retry: (count, error) =>
        count < 3 && (!(error instanceof Fault) || error.status === 0 || error.status >= 502),
      refetchOnWindowFocus: false,
    },
    mutations: { retry: false },
  },
});

export function App() {
  return (
    // Variables and classes come from files: the content security policy allows no inline styles.
    <MantineProvider
      theme={theme}
      defaultColorScheme="auto"
      withCssVariables={false}
      withGlobalClasses={false}
    >
      <LanguageProvider>
        <QueryClientProvider client={client}>
          <Notifications position="bottom-right" limit={4} autoClose={6000} />
          <Shell />
        </QueryClientProvider>
      </LanguageProvider>
    </MantineProvider>
  );
}
